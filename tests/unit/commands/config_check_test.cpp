#include "commands/config_check.hpp"

#include "commands/terminal.hpp"
#include "scratch_folder.hpp"

#include <CLI/CLI.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace mailroot;
using namespace mailroot::commands;

TEST_CASE("config-check prints each key on a line, aligned, as --set takes it") {
    Terminal terminal({"hostname=mx.example", "delivery.port=26", "pickup.keepBcc=true"});
    CHECK(finish(terminal.environment, run_config_check({}, terminal.environment)) == 0);
    CHECK(terminal.error.str().empty());
    const auto text = terminal.out.str();
    for (const auto* line :
         {"hostname                       = mx.example\n",
          "listen                         = [\"0.0.0.0:25\",\"[::]:25\"]\n",
          "delivery.retry                 = [\"15m\",\"30m\",\"1h\",\"4h\"]\n",
          "delivery.messagesPerConnection = 20\n", "delivery.port                  = 26\n",
          "limits.messageSize             = 32M\n", "pickup.keepBcc                 = true\n"}) {
        CAPTURE(line);
        CHECK(text.find(line) != std::string::npos);
    }
    CHECK(static_cast<std::size_t>(std::ranges::count(text, '\n')) == config::keys().size());
}

TEST_CASE("what config-check prints as JSON is a configuration again") {
    Terminal terminal({"hostname=mx.example", "delivery.port=26"});
    CHECK(finish(terminal.environment, run_config_check({.json = true}, terminal.environment)) ==
          0);
    const ScratchFolder folder;
    Terminal again;
    again.environment.options.config = folder.write("mailroot.json", terminal.out.str());
    CHECK(finish(again.environment, run_config_check({.json = true}, again.environment)) == 0);
    CHECK(again.out.str() == terminal.out.str());
    CHECK(nlohmann::json::parse(again.out.str())["delivery"]["port"] == 26);
}

TEST_CASE("config-check says what is wrong, and nothing else") {
    for (const bool json : {false, true}) {
        Terminal terminal({"delivery.prot=26"});
        CHECK(finish(terminal.environment, run_config_check({json}, terminal.environment)) == 78);
        CHECK(terminal.out.str().empty());
        CHECK(terminal.error.str() ==
              "mailroot: --set delivery.prot=26: unknown key 'delivery.prot', did you mean "
              "'delivery.port'?\n");
    }
}

TEST_CASE("config-check reads the files that the configuration names") {
    const ScratchFolder folder;
    const auto users = folder.write("users", "joe:plain\n").string();
    const auto known = folder.write("known", "joe:$6$salt$" + std::string(86, 'x') + '\n').string();
    const auto tls = std::string(MAILROOT_TESTS) + "/tls/";
    const std::pair<std::vector<std::string>, std::string> rows[] = {
        {{"auth.users=" + users}, "auth.users: " + users + ": line 1: the hash of 'joe'"},
        {{"tls.certificate=/no/such/file"}, "tls: /no/such/file: "},
        {{"tls.authorities=/no/such/file"}, "tls.authorities: /no/such/file: no such file"},
        {{"tls.authorities=" + users},
         "tls.authorities: " + users + ": there is no PEM certificate in it"},
        {{"tls.certificate=" + tls + "certificate.pem", "tls.key=" + tls + "other_key.pem"},
         "tls: " + tls + "other_key.pem: is not the key of "},
        {{"domains.default=a.example", R"(domains.recipients={"a.example": "/no/such/list"})"},
         "domains.recipients: /no/such/list: no such file"},
        {{"delivery.smartHost=relay.example",
          R"(delivery.smartHostLogin={"user": "joe", "passwordFile": "/no/such/file"})"},
         "delivery.smartHostLogin: passwordFile: /no/such/file: no such file"},
        {{"delivery.proxy=socks5://proxy.example:1080", "delivery.proxyUser=joe",
          "delivery.proxyPasswordFile=/no/such/file"},
         "delivery.proxyPasswordFile: /no/such/file: no such file"},
        {{"auth.users=" + known, R"(domains.remote={"b.example": {"turn": ["joe", "nobody"]}})"},
         "domains.remote: 'nobody', who may fetch the mail of b.example, is not in " + known},
        {{R"(relay.networks=["192.0.2.1/24"])"}, "relay.networks: "},
        {{R"(access.proxies=["192.0.2.1/24"])"}, "access.proxies: "},
    };
    for (auto [overrides, said] : rows) {
        CAPTURE(said);
        overrides.push_back("hostname=mx.example");
        Terminal terminal(overrides);
        CHECK(finish(terminal.environment, run_config_check({}, terminal.environment)) == 78);
        CHECK(terminal.out.str().empty());
        CHECK(terminal.error.str().starts_with("mailroot: " + said));
    }
}

TEST_CASE("config-check runs as its command line says") {
    for (const bool json : {false, true}) {
        CAPTURE(json);
        Terminal terminal({"hostname=mx.example"});
        CLI::App app;
        add_config_check(app, terminal.environment);
        app.parse(json ? "--json" : "");
        CHECK(terminal.out.str().empty());
        REQUIRE(terminal.environment.run);
        CHECK(terminal.environment.run() == 0);
        CHECK(terminal.out.str().starts_with(json ? "{" : "hostname"));
    }
}
