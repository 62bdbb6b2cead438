#include "config/settings.hpp"

#include "scratch_folder.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace mailroot;
using namespace mailroot::config;

namespace {

std::string k_machine() {
    return "box.example";
}

Result<Settings> load_text(const ScratchFolder& folder, const std::string& text) {
    return load(folder.write("mailroot.json", text), false, {}, k_machine);
}

Result<Settings> load_override(const std::string& text) {
    return load("", true, {text}, k_machine);
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("without a file everything has its default, and names come from the machine") {
    const auto settings = load("/nonexistent/mailroot.json", true, {}, k_machine);
    REQUIRE(settings);
    CHECK(settings->hostname == "box.example");
    CHECK(settings->domains.default_domain == "box.example");
    CHECK(settings->delivery.retry == std::vector<milliseconds>{15min, 30min, 60min, 240min});
    CHECK(settings->delivery.local_retry == std::vector<milliseconds>{60min});
    CHECK(settings->delivery.local_expire == 48h);
    CHECK(settings->limits.message_size == 32u << 20);
    CHECK(settings->badmail.keep == 720h);
    CHECK(settings->badmail.max_size == 1u << 30);
    CHECK(settings->badmail.max_count == 0);
}

TEST_CASE("a hostname that was set is the default domain too, unless that is set") {
    CHECK(load_override("hostname=mx.example")->domains.default_domain == "mx.example");
    CHECK(load_override("domains.default=other.example")->hostname == "box.example");
    CHECK(load_override("domains.default=other.example")->domains.default_domain ==
          "other.example");
}

TEST_CASE("a machine whose name is no domain must be given a hostname") {
    const auto settings = load("", true, {}, [] { return std::string("my box"); });
    REQUIRE_FALSE(settings);
    CHECK(settings.error().kind == Error::Kind::config);
    CHECK(contains(settings.error().what, "hostname"));
    CHECK(contains(settings.error().what, "my box"));
    CHECK(load("", true, {"hostname=mx.example"}, [] { return std::string("my box"); }));
}

TEST_CASE("every kind of value is read from the file") {
    const ScratchFolder folder;
    const auto settings = load_text(folder, R"(
        // of this host
        {
            "hostname": "mx.example",
            "listen": ["127.0.0.1:2525"],
            "domains": { "default": "a.example", "aliases": ["b.example", "*.c.example"],
                         "recipients": { "A.example": "/etc/a", "x.c.example": "/etc/x" },
                         "remote": { "Far.example": { "relay": true, "turn": ["far"] },
                                     "*.far.example": { "triggered": true, "tls": "verify",
                                                        "smartHost": "" } } },
            "auth": { "users": "/etc/users" },
            "limits": { "messageSize": "2048K", "recipients": 7, "idle": "1h30m" },
            /* quicker
               than usual */
            "delivery": { "retry": ["1s", "2m"], "port": 2525, "recipientsPerMessage": 50,
                          "masquerade": "m.example", "bindAddress": ["192.0.2.7", "2001:db8::7"],
                          "smartHost": "relay.example", "directFirst": true },
            "badmail": { "keep": "0s", "maxSize": "10M", "maxCount": 5000 },
            "pickup": { "dots": "raw", "keepBcc": true, "settle": "0s" },
            "access": { "deny": ["192.0.2.0/24", "2001:db8::/32", "::1"] }
        })");
    REQUIRE_MESSAGE(settings, settings.error().what);
    CHECK(settings->hostname == "mx.example");
    CHECK(settings->listen == std::vector<std::string>{"127.0.0.1:2525"});
    CHECK(settings->domains.default_domain == "a.example");
    CHECK(settings->domains.aliases == std::vector<std::string>{"b.example", "*.c.example"});
    CHECK(settings->domains.recipients ==
          std::map<std::string, std::string>{{"a.example", "/etc/a"}, {"x.c.example", "/etc/x"}});
    REQUIRE(settings->domains.remote.size() == 2);
    const auto& far = settings->domains.remote.at("far.example");
    CHECK(far.relay);
    CHECK_FALSE(far.triggered);
    CHECK(far.turn == std::vector<std::string>{"far"});
    CHECK(settings->domains.remote.at("*.far.example").triggered);
    CHECK(settings->domains.remote.at("*.far.example").tls == "verify");
    CHECK(settings->domains.remote.at("*.far.example").smart_host == "");
    CHECK_FALSE(far.smart_host);
    CHECK(settings->access.deny ==
          std::vector<std::string>{"192.0.2.0/24", "2001:db8::/32", "::1"});
    CHECK(settings->limits.message_size == 2u << 20);
    CHECK(settings->limits.recipients == 7);
    CHECK(settings->limits.idle == 90min);
    CHECK(settings->delivery.retry == std::vector<milliseconds>{1s, 2min});
    CHECK(settings->delivery.port == 2525);
    CHECK(settings->delivery.hops == 15);
    CHECK(settings->delivery.recipients_per_message == 50);
    CHECK(settings->delivery.masquerade == "m.example");
    CHECK(settings->delivery.bind_address == std::vector<std::string>{"192.0.2.7", "2001:db8::7"});
    CHECK(settings->delivery.direct_first);
    CHECK(settings->badmail.keep == 0s);
    CHECK(settings->badmail.max_size == 10u << 20);
    CHECK(settings->badmail.max_count == 5000);
    CHECK(settings->pickup.dots == "raw");
    CHECK(settings->pickup.keep_bcc);
    CHECK(settings->pickup.settle == 0s);
}

TEST_CASE("a size may be a number of octets") {
    CHECK(load_override("limits.messageSize=4096")->limits.message_size == 4096);
}

TEST_CASE("what the file cannot mean is refused, with file, key and what was expected") {
    struct Row {
        std::string text, said;
    };
    const Row rows[] = {
        {R"({"hostname": 7})", "hostname: expected a domain such as \"mx.example.com\", not 7"},
        {R"({"hostname": "a b"})", "hostname: expected a domain"},
        {R"({"hostname": null})", "hostname: expected a domain"},
        {R"({"listen": "0.0.0.0:25"})", "listen: expected a list of ADDRESS:PORT"},
        {R"({"listen": ["25"]})", "listen: expected a list of ADDRESS:PORT"},
        {R"({"domains": {"aliases": ["*"]}})", "domains.aliases: expected a list of domains"},
        {R"({"domains": {"recipients": []}})", "domains.recipients: expected an object such as"},
        {R"({"domains": {"recipients": {"*.a.example": "/x"}}})", "domains.recipients: expected"},
        {R"({"domains": {"recipients": {"a.example": 1}}})", "domains.recipients: expected"},
        {R"({"domains": {"remote": {"a b": {}}}})", "domains.remote: expected an object such as"},
        {R"({"domains": {"remote": {"a.example": true}}})",
         "domains.remote: a.example: expected an object with relay, "},
        {R"({"domains": {"remote": {"a.example": {"relays": true}}}})",
         "domains.remote: a.example: expected relay, triggered, turn, tls"},
        {R"({"domains": {"remote": {"a.example": {"relay": 1}}}})",
         "domains.remote: a.example: relay: expected true or false, not 1"},
        {R"({"domains": {"remote": {"a.example": {"turn": "u"}}}})",
         "domains.remote: a.example: turn: expected a list of users"},
        {R"({"domains": {"remote": {"a.example": {"turn": [1]}}}})",
         "domains.remote: a.example: turn: expected a list of users"},
        {R"({"domains": {"remote": {"a.example": {"tls": "yes"}}}})",
         "domains.remote: a.example: tls: expected \"none\", \"may\","},
        {R"({"domains": {"remote": {"a.example": {"smartHost": 1}}}})",
         "domains.remote: a.example: smartHost: expected a host such as"},
        {R"({"delivery": {"smartHost": "a b"}})", "delivery.smartHost: expected a host such as"},
        {R"({"delivery": {"recipientsPerMessage": 0}})",
         "delivery.recipientsPerMessage: expected a whole number from 1"},
        {R"({"delivery": {"masquerade": "*.a.example"}})",
         "delivery.masquerade: expected a domain"},
        {R"({"delivery": {"bindAddress": ["eth0"]}})",
         R"(delivery.bindAddress: expected a list of addresses such as ["192.0.2.7", )"
         R"("2001:db8::7"], not "eth0")"},
        {R"({"delivery": {"proxy": "socks5://joe:secret@a.example:1080"}})",
         R"(delivery.proxy: expected a proxy such as "socks5://proxy.example.com:1080", )"
         R"(not "socks5://...@a.example:1080")"},
        {R"({"delivery": {"directFirst": "yes"}})", "delivery.directFirst: expected true or false"},
        {R"({"delivery": {"tls": true}})", "delivery.tls: expected \"none\", \"may\", \"enc"},
        {R"({"listen": ["127.0.0.1:25 tls"]})", "listen: expected a list of ADDRESS:PORT"},
        {R"({"relay": {"networks": ["192.0.2.0/33"]}})", "relay.networks: expected a list of net"},
        {R"({"access": {"blocklists": ["*.a.example"]}})", "access.blocklists: expected a list"},
        {R"({"limits": {"bareNewline": "keep"}})",
         "limits.bareNewline: expected \"normalize\" or \"reject\", not \"keep\""},
        {R"({"limits": {"messageSize": "32X"}})", "limits.messageSize: expected a size"},
        {R"({"limits": {"messageSize": -1}})", "limits.messageSize: expected a size"},
        {R"({"limits": {"messageSize": "2000T"}})", "limits.messageSize: expected a size"},
        {R"({"limits": {"recipients": 0}})", "limits.recipients: expected a whole number from 1"},
        {R"({"limits": {"recipients": 1.5}})", "limits.recipients: expected a whole number"},
        {R"({"limits": {"recipients": "7"}})", "limits.recipients: expected a whole number"},
        {R"({"limits": {"connections": 0}})", "limits.connections: expected a whole number from 1"},
        {R"({"limits": {"idle": 600}})", "limits.idle: expected a duration such as"},
        {R"({"limits": {"idle": "0s"}})", "limits.idle: expected a duration"},
        {R"({"delivery": {"expire": "4000d"}})", "delivery.expire: expected a duration"},
        {R"({"delivery": {"retry": []}})", "delivery.retry: expected a list of at least one"},
        {R"({"delivery": {"retry": ["1s", "0s"]}})", "delivery.retry: expected a list"},
        {R"({"delivery": {"retry": "1s"}})", "delivery.retry: expected a list"},
        {R"({"delivery": {"connections": 0}})", "delivery.connections: expected a whole number"},
        {R"({"delivery": {"port": 0}})", "delivery.port: expected a port from 1 to 65535, not 0"},
        {R"({"delivery": {"port": 65536}})", "delivery.port: expected a port"},
        {R"({"delivery": 25})", "delivery: expected an object"},
        {R"({"dns": {"servers": ["dns.example"]}})", "dns.servers: expected a list of IP"},
        {R"({"pickup": {"dots": "Raw"}})",
         "pickup.dots: expected \"auto\", \"unstuff\" or \"raw\", not \"Raw\""},
        {R"({"pickup": {"keepBcc": "yes"}})", "pickup.keepBcc: expected true or false"},
        {R"([])", "expected an object"},
    };
    const ScratchFolder folder;
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto settings = load_text(folder, row.text);
        REQUIRE_FALSE(settings);
        CAPTURE(settings.error().what);
        CHECK(settings.error().kind == Error::Kind::config);
        CHECK(settings.error().what.starts_with(folder.path().string() +
                                                "/mailroot.json: " + row.said));
    }
}

TEST_CASE("of a list or an object the part that is wrong is named") {
    const ScratchFolder folder;
    const auto said = [&](const std::string& text) { return load_text(folder, text).error().what; };
    CHECK(said(R"({"listen": ["0.0.0.0:25", "0.0.0.0:465 implict"]})")
              .ends_with(R"(, not "0.0.0.0:465 implict")"));
    CHECK(said(R"({"domains": {"remote": {"a.example": {"relay": true, "trigger": true}}}})")
              .ends_with(R"(, not "trigger")"));
    CHECK(said(R"({"domains": {"remote": {"a.example": {"turn": "u"}}}})")
              .ends_with(R"(turn: expected a list of users such as ["branch"], not "u")"));
}

TEST_CASE("settings that do not go together are refused") {
    const std::pair<std::vector<std::string>, std::string> rows[] = {
        {{"tls.key=/k"}, "tls.key: there is no tls.certificate"},
        {{R"(listen=["127.0.0.1:465 implicit"])"},
         "'127.0.0.1:465 implicit' needs tls.certificate"},
        {{R"(listen=["127.0.0.1:587  required"])"}, "needs tls.certificate"},
        {{"domains.default=a.example", R"(domains.recipients={"b.example": "/b"})"},
         "domains.recipients: b.example is neither domains.default nor"},
        {{"domains.default=a.example", R"(domains.remote={"A.example": {}})"},
         "domains.remote: a.example is a local domain"},
        {{R"(domains.aliases=["*.a.example"])", R"(domains.remote={"*.a.example": {}})"},
         "domains.remote: *.a.example is a local domain"},
        {{R"(domains.remote={"a.example": {"turn": ["u"]}})"}, "there are no auth.users"},
        {{"delivery.directFirst=true"}, "delivery.directFirst: there is no delivery.smartHost"},
        {{R"(delivery.bindAddress=["192.0.2.7", "192.0.2.8"])"},
         "delivery.bindAddress: at most one IPv4 and one IPv6 address"},
        {{R"(delivery.bindAddress=["::1", "2001:db8::7", "192.0.2.7"])"},
         "delivery.bindAddress: at most one IPv4 and one IPv6 address"},
        {{R"(delivery.bindAddress=["192.0.2.7"])", "delivery.proxy=socks5://a.example:1080"},
         "delivery.bindAddress: it is delivery.proxy that connects"},
        {{"delivery.proxy=socks5://a.example:1080", "delivery.proxyUser=joe"},
         "delivery.proxyUser and delivery.proxyPasswordFile go together"},
        {{"delivery.proxyUser=joe", "delivery.proxyPasswordFile=/p"},
         "delivery.proxyUser: there is no delivery.proxy"},
    };
    for (const auto& [overrides, said] : rows) {
        CAPTURE(overrides.front());
        const auto settings = load("", true, overrides, [] { return std::string("mx.example"); });
        REQUIRE_FALSE(settings);
        CAPTURE(settings.error().what);
        CHECK(settings.error().kind == Error::Kind::config);
        CHECK(contains(settings.error().what, said));
    }
    CHECK(load("", true, {"tls.certificate=/c", R"(listen=["127.0.0.1:465 implicit"])"},
               [] { return std::string("mx.example"); }));
}

TEST_CASE("an unknown key is refused, and the nearest known one named") {
    struct Row {
        std::string text, key, nearest;
    };
    const Row rows[] = {
        {R"({"delivery": {"prot": 25}})", "delivery.prot", "delivery.port"},
        {R"({"delivery": {"Port": 25}})", "delivery.Port", "delivery.port"},
        {R"({"limits": {"hops": 25}})", "limits.hops", "delivery.hops"},
        {R"({"port": 25})", "port", "delivery.port"},
        {R"({"hostName": "a"})", "hostName", "hostname"},
        {R"({"delivry": {"port": 25}})", "delivry", "delivery"},
    };
    const ScratchFolder folder;
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto settings = load_text(folder, row.text);
        REQUIRE_FALSE(settings);
        CHECK(settings.error().kind == Error::Kind::config);
        CHECK(contains(settings.error().what, "mailroot.json: unknown key '" + row.key +
                                                  "', did you mean '" + row.nearest + "'?"));
    }
}

TEST_CASE("what is no JSON is refused by line and column, in plain words") {
    struct Row {
        std::string text, said;
    };
    const Row rows[] = {
        {"{\n  \"hostname\": mx\n}", "line 2, column 15: unexpected 'm'"},
        {"{\n  \"hostname\" \"mx\"\n}", "line 2, column 17: unexpected '\"'"},
        {"{\"a\": 1,}", "line 1, column 9: unexpected '}'"},
        {"{\"listen\": [", "line 1, column 13: the text ends too early"},
        {"", "line 1, column 1: the text ends too early"},
        {"{} x", "line 1, column 4: unexpected 'x'"},
        {"{\"hostname\": \"a\nb\"}", "line 1, column 16: unexpected end of the line"},
        {"{\"hostname\": \"\xff\"}", "line 1, column 15: unexpected character beyond ASCII"},
    };
    const ScratchFolder folder;
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto settings = load_text(folder, row.text);
        REQUIRE_FALSE(settings);
        CHECK(settings.error().kind == Error::Kind::config);
        CHECK(settings.error().what == folder.path().string() + "/mailroot.json: " + row.said);
    }
}

TEST_CASE("a key that stands twice is refused") {
    const ScratchFolder folder;
    const auto settings = load_text(folder, R"({"dns": {"timeout": "1s", "timeout": "2s"}})");
    REQUIRE_FALSE(settings);
    CHECK(contains(settings.error().what, "'timeout' stands twice"));
    CHECK(load_text(folder, R"({"limits": {"connections": 5}, "delivery": {"connections": 5}})"));
}

TEST_CASE("a file that cannot be read is named, with the reason") {
    const ScratchFolder folder;
    const auto missing = load(folder.path() / "absent.json", false, {}, k_machine);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::config);
    CHECK(missing.error().what == folder.path().string() + "/absent.json: no such file");

    for (const bool optional : {false, true}) {
        const auto directory = load(folder.path(), optional, {}, k_machine);
        REQUIRE_FALSE(directory);
        CHECK(directory.error().kind == Error::Kind::config);
        CHECK(directory.error().what == folder.path().string() + ": is a directory, not a file");
    }

    std::filesystem::create_symlink("loop", folder.path() / "loop");
    const auto loop = load(folder.path() / "loop", true, {}, k_machine);
    REQUIRE_FALSE(loop);
    CHECK(contains(loop.error().what, "loop: cannot be read: "));
}

TEST_CASE("an override beats the file, the later one the earlier") {
    const ScratchFolder folder;
    const auto file = folder.write("mailroot.json", R"({"delivery": {"port": 1, "hops": 2}})");
    const auto settings = load(file, false, {"delivery.port=3", "delivery.port=4"}, k_machine);
    REQUIRE(settings);
    CHECK(settings->delivery.port == 4);
    CHECK(settings->delivery.hops == 2);
}

TEST_CASE("an override is JSON or plain text") {
    CHECK(load_override("hostname=mx.example")->hostname == "mx.example");
    CHECK(load_override("hostname=\"mx.example\"")->hostname == "mx.example");
    CHECK(load_override("hostname=7")->hostname == "7");
    CHECK(load_override("delivery.expire=2d")->delivery.expire == 48h);
    CHECK(load_override("delivery.localExpire=1h")->delivery.local_expire == 1h);
    CHECK(load_override("delivery.delayNotice=0s")->delivery.delay_notice == 0s);
    CHECK(load_override("ndr.copyTo=postmaster@a.example")->ndr.copy_to == "postmaster@a.example");
    CHECK(load_override("ndr.rate=20/min")->ndr.rate == Rate{20, 1min});
    CHECK(load_override("ndr.maxSize=64K")->ndr.max_size == 64u << 10);
    CHECK(load_override("delivery.localDelayNotice=4h")->delivery.local_delay_notice == 4h);
    CHECK(load_override("delivery.localRetry=[\"5m\"]")->delivery.local_retry ==
          std::vector<milliseconds>{5min});
    CHECK(load_override("delivery.retry=[\"1s\",\"2s\"]")->delivery.retry ==
          std::vector<milliseconds>{1s, 2s});
    CHECK(load_override("domains.aliases=[\"a.example\"]")->domains.aliases ==
          std::vector<std::string>{"a.example"});
    CHECK(load_override("pickup.keepBcc=true")->pickup.keep_bcc);
    CHECK(load_override("limits.messageSize=1M")->limits.message_size == 1u << 20);
    CHECK(load_override("delivery={\"port\": 26, \"hops\": 3}")->delivery.port == 26);
}

TEST_CASE("an override that cannot be used is named") {
    struct Row {
        std::string text, said;
    };
    const Row rows[] = {
        {"hostname", "expected key.path=VALUE"},
        {"=5", "no key before the '='"},
        {"delivery.prot=25", "unknown key 'delivery.prot', did you mean 'delivery.port'?"},
        {"delivery.port=many", "delivery.port: expected a port from 1 to 65535, not \"many\""},
        {"ndr.copyTo=a@b c", "ndr.copyTo: expected an address in ASCII such as \"postmaster@"},
        {"ndr.copyTo=jörg@b", "ndr.copyTo: expected an address in ASCII"},
        {"ndr.rate=20", "ndr.rate: expected a rate such as \"200/h\": a number"},
        {"ndr.rate=9999999999/h", "ndr.rate: expected a rate"},
        {"delivery.port=0", "delivery.port: expected a port from 1 to 65535, not 0"},
        {"delivery=25", "delivery: expected an object"},
        {"delivery.retry=[\"1s\"", "delivery.retry: expected a list"},
        {"hostname=\xff", "hostname: expected a domain"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto settings = load_override(row.text);
        REQUIRE_FALSE(settings);
        CAPTURE(settings.error().what);
        CHECK(settings.error().kind == Error::Kind::config);
        CHECK(settings.error().what.starts_with("--set " + row.text + ": " + row.said));
    }
}

TEST_CASE("what is printed is what is read, every key in it") {
    const ScratchFolder folder;
    const auto settings =
        load("", true,
             {"hostname=mx.example", "listen=[]", "limits.messageSize=1000", "limits.idle=1s",
              "delivery.retry=[\"1s\"]", "delivery.port=1", "dns.servers=[\"::1\"]",
              "pickup.keepBcc=true", "pickup.dots=unstuff"},
             k_machine);
    REQUIRE(settings);
    const auto printed = to_json(*settings);
    const auto again = load_text(folder, printed);
    REQUIRE_MESSAGE(again, again.error().what);
    CHECK(to_json(*again) == printed);
    CHECK(again->delivery.retry == std::vector<milliseconds>{1s});
    CHECK(again->limits.message_size == 1000);

    const auto json = nlohmann::json::parse(printed);
    for (const auto& key : keys()) {
        CAPTURE(key.path);
        std::string pointer{"/"};
        pointer += key.path;
        std::ranges::replace(pointer, '.', '/');
        CHECK(json.contains(nlohmann::json::json_pointer(pointer)));
        CHECK_FALSE(key.meaning.empty());
    }
    CHECK(json.flatten().size() >= keys().size());
    CHECK(json["delivery"]["expire"] == "2d");
    CHECK(json["limits"]["messageSize"] == "1000");
}

TEST_CASE("a login is read, and printed as it was") {
    const std::string oauth =
        R"({"user":"joe","oauth":{"endpoint":"https://login.example/token","clientId":"id",)"
        R"("clientSecretFile":"/s","clientAuthentication":"basic","refreshTokenFile":"/r",)"
        R"("scope":"mail"}})";
    const std::string command = R"({"user":"ann","passwordCommand":["pass","show","relay"]})";
    const auto settings =
        load("", true,
             {"delivery.smartHost=a.example", "delivery.smartHostLogin=" + oauth,
              R"(domains.remote={"b.example": {"smartHost": "c.example", "smartHostLogin": )" +
                  command + "}}"},
             k_machine);
    REQUIRE_MESSAGE(settings, settings.error().what);
    const auto& login = settings->delivery.smart_host_login;
    CHECK(login.user == "joe");
    CHECK(login.by_token());
    REQUIRE(login.oauth);
    CHECK(login.oauth->endpoint == "https://login.example/token");
    CHECK(login.oauth->client_id == "id");
    CHECK(login.oauth->client_secret_file == "/s");
    CHECK(login.oauth->client_authentication == "basic");
    CHECK(login.oauth->refresh_token_file == "/r");
    CHECK(login.oauth->scope == "mail");
    const auto& own = settings->domains.remote.at("b.example").smart_host_login;
    CHECK(own.password_command == std::vector<std::string>{"pass", "show", "relay"});
    CHECK_FALSE(own.by_token());
    const auto json = nlohmann::ordered_json::parse(to_json(*settings));
    CHECK(json["delivery"]["smartHostLogin"].dump() == oauth);
    CHECK(json["domains"]["remote"]["b.example"]["smartHostLogin"].dump() == command);
}

TEST_CASE("a login that cannot be is refused, and the part that is wrong named") {
    const std::string oauth = R"({"endpoint": "https://e.example", "clientId": "i")";
    const std::pair<std::string, std::string> rows[] = {
        {"[]",
         "expected an object with user, passwordFile, passwordCommand, tokenCommand or oauth"},
        {R"({"password": "secret"})", "expected user, passwordFile, passwordCommand, tokenCommand"},
        {R"({"user": ""})", "user: expected the name of a user, not \"\""},
        {R"({"passwordCommand": "pass"})", "passwordCommand: expected a list of a program and"},
        {R"({"oauth": {"endpoint": "http://a.example/"}})", "oauth: endpoint: expected a URL such"},
        {R"({"oauth": {"endpoint": "https://u:p@a.example"}})", "oauth: endpoint: expected a URL"},
        {R"({"oauth": {"endpoint": "https:///token"}})", "oauth: endpoint: expected a URL"},
        {R"({"oauth": {"clientSecret": "s"}})", "oauth: expected endpoint, clientId, clientSecret"},
        {R"({"oauth": {"clientAuthentication": "jwt"}})",
         "oauth: clientAuthentication: expected \"body\" or \"basic\", not \"jwt\""},
        {R"({"passwordFile": "/p"})", "user must be set"},
        {R"({"user": "joe"})", "one of passwordFile, passwordCommand, tokenCommand and oauth must"},
        {R"({"user": "joe", "passwordFile": "/p", "tokenCommand": ["t"]})",
         "one of passwordFile, "},
        {R"({"user": "joe", "passwordFile": "/p", "oauth": {}})", "one of passwordFile, "},
        {R"({"user": "joe", "oauth": {}})", "oauth: endpoint must be set"},
        {R"({"user": "joe", "oauth": {"endpoint": "https://e.example"}})", "oauth: clientId must"},
        {R"({"user": "joe", "oauth": )" + oauth + "}}", "oauth: clientSecretFile or refreshTokenF"},
        {R"({"user": "joe", "oauth": )" + oauth +
             R"(, "refreshTokenFile": "/r", "clientAuthentication": "basic"}})",
         "oauth: there is no clientSecretFile for clientAuthentication basic"},
    };
    for (const auto& [login, said] : rows) {
        CAPTURE(login);
        auto settings =
            load("", true, {"delivery.smartHost=a.example", "delivery.smartHostLogin=" + login},
                 k_machine);
        REQUIRE_FALSE(settings);
        CAPTURE(settings.error().what);
        CHECK(settings.error().kind == Error::Kind::config);
        CHECK(contains(settings.error().what, "delivery.smartHostLogin: " + said));
        settings = load_override(
            R"(domains.remote={"b.example": {"smartHost": "a.example", "smartHostLogin": )" +
            login + "}}");
        REQUIRE_FALSE(settings);
        CAPTURE(settings.error().what);
        CHECK(
            contains(settings.error().what, "domains.remote: b.example: smartHostLogin: " + said));
    }
    const std::string whole = R"({"user": "joe", "passwordFile": "/p"})";
    const auto none = load_override("delivery.smartHostLogin=" + whole);
    REQUIRE_FALSE(none);
    CHECK(contains(none.error().what, "smartHostLogin: there is no smartHost to log in at"));
    CHECK_FALSE(load("", true,
                     {"delivery.smartHost=a.example",
                      R"(domains.remote={"b.example": {"smartHostLogin": )" + whole + "}}"},
                     k_machine));
}

TEST_CASE("of a remote domain is printed what is special about it") {
    const std::string all = R"({"relay":true,"triggered":true,"turn":["u"],"tls":"none",)"
                            R"("smartHost":"","rate":"100/min"})";
    const auto complete = load("", true,
                               {"auth.users=/u", R"(domains.remote={"a.example": {"tls": "may"}, )"
                                                 R"("b.example": )" +
                                                     all + "}"},
                               k_machine);
    REQUIRE_MESSAGE(complete, complete.error().what);
    const auto json = nlohmann::ordered_json::parse(to_json(*complete))["domains"]["remote"];
    CHECK(json["a.example"].dump() == R"({"tls":"may"})");
    CHECK(json["b.example"].dump() == all);
}

TEST_CASE("keys come in the manual's order") {
    const auto all = keys();
    REQUIRE(all.size() > 2);
    CHECK(all.front().path == "hostname");
    CHECK(all[1].path == "listen");
    CHECK(all.back().path == "pickup.settle");
}
