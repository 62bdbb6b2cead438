#include "smtp/base64.hpp"
#include "smtp/client.hpp"
#include "smtp/scripted_server.hpp"
#include "smtp/text_source.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

using namespace mailroot;
using namespace std::chrono_literals;

namespace {

class BrokenSource final : public smtp::MessageSource {
 public:
    [[nodiscard]] std::uint64_t size() const override { return 1000; }
    smtp::Task<Result<std::string>> next() override {
        if (given_++ == 0) co_return std::string("Subject: half\r\n");
        co_return fail(Error::Kind::io, "Queue/1.eml: input/output error");
    }

 private:
    int given_ = 0;
};

Envelope to(const std::vector<std::string>& recipients) {
    Envelope envelope;
    envelope.reverse_path = {"sender", "client.example"};
    for (const auto& name : recipients)
        envelope.recipients.push_back({{name, "host.example"}, "", ""});
    return envelope;
}

smtp::ClientTimeouts short_times() {
    smtp::ClientTimeouts timeouts;
    timeouts.connect = timeouts.greeting = timeouts.command = timeouts.data_start =
        timeouts.data_block = timeouts.data_end = timeouts.quit = 20s;
    return timeouts;
}

/// A loop with a connector on it; runs one coroutine to its end.
struct Client {
    explicit Client(smtp::ClientTimeouts timeouts = short_times(), smtp::WayOut way_out = {})
        : connector(smtp::make_curl_connector(*reactor, "client.example", timeouts, "",
                                              std::move(way_out))
                        .value()) {}

    smtp::Loop loop;
    std::unique_ptr<Reactor> reactor = smtp::make_reactor(loop);
    std::unique_ptr<smtp::Connector> connector;

    void run(smtp::Task<void> task) {
        smtp::spawn(loop, std::move(task));
        loop.restart();
        loop.run();
    }

    smtp::ConnectOutcome connect(const smtp::Endpoint& endpoint) {
        smtp::ConnectOutcome outcome;
        auto task = [&]() -> smtp::Task<void> { outcome = co_await connector->connect(endpoint); };
        run(task());
        return outcome;
    }

    smtp::ConnectOutcome connect(std::uint16_t port, const std::string& address = "127.0.0.1") {
        return connect(smtp::Endpoint{"mx.example", address, port});
    }

    smtp::ConnectOutcome connect_as(smtp::Login& login, std::uint16_t port) {
        return connect(
            smtp::Endpoint{"mx.example", "127.0.0.1", port, smtp::TlsPolicy::none, true, &login});
    }

    std::vector<Verdict> send(smtp::ClientConnection& connection, const Envelope& envelope,
                              smtp::MessageSource& source) {
        std::vector<Verdict> verdicts;
        auto task = [&]() -> smtp::Task<void> {
            verdicts = co_await connection.send(envelope, source);
        };
        run(task());
        return verdicts;
    }

    std::vector<Verdict> send(smtp::ClientConnection& connection, const Envelope& envelope,
                              const std::string& text) {
        TextSource source(text);
        return send(connection, envelope, source);
    }

    void quit(smtp::ClientConnection& connection) { run(connection.quit()); }
};

const std::string k_message = "Subject: hello\r\n\r\n.dot\r\n";

/// Greets, then answers each line as a kind server would, and keeps all lines that it was told.
struct KindServer {
    std::string extensions = "250-mx.example\r\n250 PIPELINING\r\n";
    std::mutex mutex;
    std::string mail_reply = "250 2.1.0 fine\r\n";
    std::vector<std::string> heard;

    void operator()(Peer& peer) {
        if (!peer.say("220 mx.example ESMTP\r\n")) return;
        for (std::string line; !(line = peer.line()).empty();) {
            keep(line);
            if (line.starts_with("EHLO")) {
                peer.say(extensions);
            } else if (line == "DATA") {
                peer.say("354 go on\r\n");
                keep(peer.until("\r\n.\r\n"));
                peer.say("250 2.0.0 taken\r\n");
            } else if (line.starts_with("BDAT ")) {
                keep(peer.take(std::stoul(line.substr(5))));
                peer.say("250 2.0.0 taken\r\n");
            } else if (line == "QUIT") {
                peer.say("221 bye\r\n");
            } else {
                peer.say(line.starts_with("MAIL") ? mail_reply : "250 2.1.0 fine\r\n");
            }
        }
    }

    void keep(const std::string& line) {
        const std::lock_guard lock(mutex);
        heard.push_back(line);
    }
};

using namespace std::string_literals;

/// A proxy as RFC 1928 has it, and the host behind it as well.
struct ProxiedHost {
    char answer = 0;       ///< to the request; 0: the connection is made
    bool silent = false;   ///< in place of an answer
    std::string login{};   ///< `user:password`, where it was asked for
    std::string target{};  ///< address and port as they came

    void operator()(Peer& peer) {
        const auto methods = peer.take(static_cast<std::size_t>(peer.take(2).back()));
        const bool by_password = methods.find('\2') != std::string::npos;
        peer.say(by_password ? "\5\2"s : "\5\0"s);
        if (by_password) {
            login = peer.take(static_cast<std::size_t>(peer.take(2).back()));
            login += ':' + peer.take(static_cast<std::size_t>(peer.take(1).back()));
            const bool right = login == "joe:secret";
            peer.say(right ? "\1\0"s : "\1\1"s);
            if (!right) return;
        }
        const bool ipv4 = peer.take(4).back() == 1;
        target = peer.take(ipv4 ? 6 : 18);
        if (silent) return peer.until_end();
        peer.say("\5"s + answer + "\0\1\0\0\0\0\0\0"s);
        if (answer != 0) return;
        peer.say("220 mx.example\r\n");
        peer.line();
        peer.say("250 mx.example\r\n");
        peer.until_end();
    }
};

smtp::WayOut by_proxy(std::uint16_t port, const std::string& user = "",
                      const std::string& password = "") {
    return {{}, "socks5://127.0.0.1:" + std::to_string(port), user, password};
}

}  // namespace

TEST_CASE("what a server says first decides whether there is a connection") {
    struct Row {
        std::string greeting;
        bool connected;
        Verdict::Kind kind;
        int code;
        std::string words;
    };
    for (const auto& row : std::vector<Row>{
             {"220 mx.example\r\n", true, {}, 0, ""},
             {"220-mx.example\r\n220 welcome\r\n", true, {}, 0, ""},
             {"421 4.3.2 too busy\r\n", false, Verdict::Kind::deferred, 421, "421 4.3.2 too busy"},
             {"450 later\r\n", false, Verdict::Kind::deferred, 450, "450 later"},
             {"554-no\r\n554 mail here\r\n", false, Verdict::Kind::failed, 554, "554 no mail here"},
             {"HTTP/1.1 400 Bad Request\r\n", false, Verdict::Kind::deferred, 0,
              "the host broke SMTP: HTTP/1.1 400 Bad Request is no reply"},
             {"220-a\r\n250 b\r\n", false, Verdict::Kind::deferred, 0,
              "the host broke SMTP: a reply of two codes"},
             {"", false, Verdict::Kind::deferred, 0, "connection closed before the greeting came"},
             {"22", false, Verdict::Kind::deferred, 0,
              "connection closed before the greeting came"},
         }) {
        CAPTURE(row.greeting);
        ScriptedServer server([&](Peer& peer) {
            peer.say(row.greeting);
            if (row.greeting.size() < 3) return;
            if (peer.line() == "EHLO client.example") peer.say("250 mx.example\r\n");
            peer.until_end();
        });
        Client client;
        const auto outcome = client.connect(server.port());
        CHECK((outcome.connection != nullptr) == row.connected);
        if (row.connected) continue;
        CHECK(outcome.failure.kind == row.kind);
        CHECK(outcome.failure.reply.code == row.code);
        CHECK(outcome.failure.reply.text() == row.words);
        CHECK(outcome.failure.host == "mx.example [127.0.0.1]");
    }
}

TEST_CASE("a message goes to the host, and its words come back for each recipient") {
    KindServer script;
    ScriptedServer server(std::ref(script));
    Client client;
    auto outcome = client.connect(server.port());
    REQUIRE(outcome.connection);
    for (int i = 0; i < 2; ++i) {
        const auto verdicts = client.send(*outcome.connection, to({"a", "b"}), k_message);
        REQUIRE(verdicts.size() == 2);
        for (const auto& verdict : verdicts) {
            CHECK(verdict.kind == Verdict::Kind::delivered);
            CHECK(verdict.reply.text() == "250 2.0.0 taken");
            CHECK(verdict.host == "mx.example [127.0.0.1]");
        }
        CHECK(outcome.connection->usable());
    }
    client.quit(*outcome.connection);
    CHECK_FALSE(outcome.connection->usable());
    const std::vector<std::string> once = {"MAIL FROM:<sender@client.example>",
                                           "RCPT TO:<a@host.example>", "RCPT TO:<b@host.example>",
                                           "DATA", "Subject: hello\r\n\r\n..dot"};
    std::vector<std::string> all = {"EHLO client.example"};
    for (int i = 0; i < 2; ++i) all.insert(all.end(), once.begin(), once.end());
    all.push_back("QUIT");
    const std::lock_guard lock(script.mutex);
    CHECK(script.heard == all);
}

TEST_CASE("a server that knows no EHLO is greeted with HELO and offered nothing special") {
    std::vector<std::string> heard;
    ScriptedServer server([&](Peer& peer) {
        peer.say("220 old.example\r\n");
        for (std::string line; !(line = peer.line()).empty();) {
            heard.push_back(line);
            peer.say(line.starts_with("EHLO")   ? "500 5.5.1 what\r\n"
                     : line.starts_with("HELO") ? "250-old.example\r\n250 PIPELINING\r\n"
                                                : "550 no\r\n");
            if (line.starts_with("MAIL")) return;
        }
    });
    Client client;
    auto outcome = client.connect(server.port());
    REQUIRE(outcome.connection);
    const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
    CHECK(verdicts.at(0).reply.text() == "550 no");
    CHECK(heard == std::vector<std::string>{"EHLO client.example", "HELO client.example",
                                            "MAIL FROM:<sender@client.example>"});
}

TEST_CASE("a server that refuses EHLO and HELO is not for us") {
    struct Row {
        std::string ehlo, helo;
        Verdict::Kind kind;
        std::string words;
    };
    const auto deferred = Verdict::Kind::deferred;
    for (const auto& row : std::vector<Row>{
             {"500 what\r\n", "550 not you\r\n", Verdict::Kind::failed, "550 not you"},
             {"500 what\r\n", "450 later\r\n", deferred, "450 later"},
             {"500 what\r\n", "", deferred, "connection closed before the reply to EHLO came"},
             {"421 busy\r\n", "", deferred, "421 busy"},
         }) {
        CAPTURE(row.ehlo);
        CAPTURE(row.helo);
        ScriptedServer server([&](Peer& peer) {
            peer.say("220 mx.example\r\n");
            peer.line();
            peer.say(row.ehlo);
            if (row.helo.empty()) return;
            peer.line();
            peer.say(row.helo);
            peer.until_end();
        });
        Client client;
        const auto outcome = client.connect(server.port());
        CHECK_FALSE(outcome.connection);
        CHECK(outcome.failure.kind == row.kind);
        CHECK(outcome.failure.reply.text() == row.words);
    }
}

TEST_CASE("a silent server is left after the time for its greeting") {
    ScriptedServer server([](Peer& peer) { peer.until_end(); });
    auto timeouts = short_times();
    timeouts.greeting = 1s;
    Client client(timeouts);
    const auto outcome = client.connect(server.port());
    CHECK_FALSE(outcome.connection);
    CHECK(outcome.failure.kind == Verdict::Kind::deferred);
    CHECK(outcome.failure.reply.text() == "timed out before the greeting came");
}

TEST_CASE("a server that falls silent in the dialogue is left after the time for the phase") {
    ScriptedServer server([](Peer& peer) {
        peer.say("220 mx.example\r\n");
        peer.line();
        peer.say("250 mx.example\r\n");
        peer.until_end();
    });
    auto timeouts = short_times();
    timeouts.command = 1s;
    Client client(timeouts);
    const auto outcome = client.connect(server.port());
    REQUIRE(outcome.connection);
    const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
    CHECK(verdicts.at(0).kind == Verdict::Kind::deferred);
    CHECK(verdicts.at(0).reply.text() == "timed out before the reply to MAIL FROM");
    CHECK_FALSE(outcome.connection->usable());
}

TEST_CASE("a port where nobody listens defers") {
    std::uint16_t port = 0;
    {
        const ScriptedServer gone([](Peer&) {});
        port = gone.port();
    }
    Client client;
    const auto outcome = client.connect(port);
    CHECK_FALSE(outcome.connection);
    CHECK(outcome.failure.kind == Verdict::Kind::deferred);
    CHECK(outcome.failure.reply.code == 0);
    CHECK(outcome.failure.reply.text() == "connection refused");
    CHECK(outcome.failure.host == "mx.example [127.0.0.1]");
}

TEST_CASE("an IPv6 address is an address too") {
    KindServer script;
    ScriptedServer server(std::ref(script), AF_INET6);
    Client client;
    const auto outcome = client.connect(server.port(), "::1");
    REQUIRE(outcome.connection);
    const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
    CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
    CHECK(verdicts.at(0).host == "mx.example [::1]");
}

TEST_CASE("a connection is made from the address that is set for its family") {
    for (const std::string source : {"127.0.0.9", "::1"}) {
        CAPTURE(source);
        std::string seen;
        {
            ScriptedServer server([&](Peer& peer) {
                seen = peer.address();
                peer.say("220 mx.example\r\n");
                peer.line();
                peer.say("250 mx.example\r\n");
                peer.until_end();
            });
            Client client(short_times(), {{source}});
            CHECK(client.connect(server.port()).connection);
        }
        CHECK(seen == (source == "::1" ? "127.0.0.1" : source));
    }
}

TEST_CASE("a source address that is not this machine's defers, and is named") {
    const std::pair<std::string, std::string> rows[] = {{"127.0.0.1", "192.0.2.77"},
                                                        {"::1", "2001:db8::77"}};
    for (const auto& [address, source] : rows) {
        CAPTURE(source);
        Client client(short_times(), {{"192.0.2.77", "2001:db8::77"}});
        const auto outcome = client.connect(25, address);
        CHECK_FALSE(outcome.connection);
        CHECK(outcome.failure.kind == Verdict::Kind::deferred);
        CHECK(outcome.failure.reply.text() ==
              "cannot connect from " + source + ": cannot assign requested address");
    }
}

TEST_CASE("a proxy is told the address and the port, whatever the host is called") {
    const std::string ipv6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\1\x0a\1";
    const std::pair<smtp::Endpoint, std::string> rows[] = {
        {{"mx.example", "192.0.2.1", 2561}, "\xc0\0\2\1\x0a\1"s},
        {{"mx.example", "2001:db8::1", 2561}, ipv6},
        {{"mx.example", "192.0.2.1", 2561, smtp::TlsPolicy::verify}, "\xc0\0\2\1\x0a\1"s},
        {{"mx.example", "2001:db8::1", 2561, smtp::TlsPolicy::verify}, ipv6},
    };
    for (const auto& [endpoint, target] : rows) {
        CAPTURE(endpoint.address);
        ProxiedHost host;
        {
            ScriptedServer server(std::ref(host));
            Client client(short_times(), by_proxy(server.port()));
            const bool verify = endpoint.tls == smtp::TlsPolicy::verify;
            const auto outcome = client.connect(endpoint);
            CHECK(bool(outcome.connection) == !verify);
            if (verify) {
                CHECK(outcome.failure.reply.text() ==
                      "the host does not offer TLS, and it is asked for");
            }
        }
        CHECK(host.target == target);
        CHECK(host.login.empty());
    }
}

TEST_CASE("a proxy that wants a login has it") {
    ProxiedHost host;
    {
        ScriptedServer server(std::ref(host));
        Client client(short_times(), by_proxy(server.port(), "joe", "secret"));
        CHECK(client.connect({"mx.example", "192.0.2.1", 25}).connection);
    }
    CHECK(host.login == "joe:secret");
}

TEST_CASE("the environment has no say in proxies") {
    ScriptedServer proxy{ProxiedHost{}};
    Client proxied(short_times(), by_proxy(proxy.port()));
    ::setenv("no_proxy", "*", 1);
    CHECK(proxied.connect({"mx.example", "192.0.2.1", 25}).connection);
    ::unsetenv("no_proxy");

    KindServer script;
    ScriptedServer host(std::ref(script));
    Client direct;
    ::setenv("all_proxy", "socks5://127.0.0.1:9", 1);
    CHECK(direct.connect(host.port()).connection);
    ::unsetenv("all_proxy");
}

TEST_CASE("what a proxy refuses is a matter of later, and it is said who refused") {
    struct Row {
        char answer;
        std::string password;
        std::string said;
    };
    const Row rows[] = {
        {1, "", "proxy: general failure"},
        {2, "", "proxy: not allowed"},
        {4, "", "proxy: the host is unreachable"},
        {5, "", "proxy: the host refuses the connection"},
        {0, "wrong", "proxy: login refused"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.said);
        ScriptedServer server(ProxiedHost{row.answer});
        Client client(short_times(),
                      by_proxy(server.port(), row.password.empty() ? "" : "joe", row.password));
        const auto outcome = client.connect({"mx.example", "192.0.2.1", 25});
        CHECK_FALSE(outcome.connection);
        CHECK(outcome.failure.kind == Verdict::Kind::deferred);
        CHECK(outcome.failure.reply.text() == row.said);
        CHECK(outcome.failure.host == "mx.example [192.0.2.1]");
    }
}

TEST_CASE("the time to connect is that of the proxy too") {
    auto timeouts = short_times();
    timeouts.connect = 1s;
    ScriptedServer server(ProxiedHost{0, true});
    Client client(timeouts, by_proxy(server.port()));
    const auto outcome = client.connect({"mx.example", "192.0.2.1", 25});
    CHECK(outcome.failure.reply.text() == "proxy: connection timed out");
}

TEST_CASE("a proxy that is not there is told from a host that is not") {
    std::uint16_t port = 0;
    {
        const ScriptedServer server([](Peer&) {});
        port = server.port();
    }
    Client client(short_times(), by_proxy(port));
    const auto outcome = client.connect({"mx.example", "192.0.2.1", 25});
    CHECK(outcome.failure.reply.text() == "proxy: connection refused");
}

TEST_CASE("an address that is a host's only name is no less verified") {
    KindServer script;
    ScriptedServer server(std::ref(script), AF_INET6);
    Client client;
    smtp::ConnectOutcome outcome;
    auto task = [&]() -> smtp::Task<void> {
        const smtp::Endpoint endpoint{"::1", "::1", server.port(), smtp::TlsPolicy::verify};
        outcome = co_await client.connector->connect(endpoint);
    };
    client.run(task());
    CHECK_FALSE(outcome.connection);
    CHECK(outcome.failure.reply.text() == "the host does not offer TLS, and it is asked for");
}

TEST_CASE("a hundred connections at once each carry two messages") {
    KindServer script;
    ScriptedServer server(std::ref(script));
    Client client;
    std::vector<std::unique_ptr<smtp::ClientConnection>> open;
    int delivered = 0;
    const auto envelope = to({"a"});
    auto one = [&]() -> smtp::Task<void> {
        const smtp::Endpoint endpoint{"mx.example", "127.0.0.1", server.port()};
        auto outcome = co_await client.connector->connect(endpoint);
        if (!outcome.connection) co_return;
        for (int i = 0; i < 2; ++i) {
            TextSource source(k_message);
            const auto verdicts = co_await outcome.connection->send(envelope, source);
            if (verdicts[0].kind == Verdict::Kind::delivered) ++delivered;
        }
        open.push_back(std::move(outcome.connection));
    };
    for (int i = 0; i < 100; ++i) smtp::spawn(client.loop, one());
    client.loop.run();
    CHECK(delivered == 200);
    CHECK(open.size() == 100);
    for (const auto& connection : open) CHECK(connection->usable());
}

TEST_CASE("the next message is begun before the verdicts of the last are there") {
    for (const bool chunking : {false, true}) {
        CAPTURE(chunking);
        KindServer kind;
        if (chunking) kind.extensions = "250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n";
        ScriptedServer server([&](Peer& peer) { kind(peer); });
        Client client;
        auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        const auto envelope = to({"a"});
        client.send(*outcome.connection, envelope, k_message);
        TextSource second(k_message);
        TextSource third(k_message);
        int found = 0;
        auto find_next = [&]() -> std::optional<smtp::Outgoing> {
            if (++found > 1) return std::nullopt;
            return smtp::Outgoing{envelope, third};
        };
        std::vector<Verdict> of_second;
        std::vector<Verdict> of_third;
        auto both = [&]() -> smtp::Task<void> {
            of_second = co_await outcome.connection->send(envelope, second, find_next);
            CHECK(outcome.connection->usable());
            of_third = co_await outcome.connection->send(envelope, third, find_next);
        };
        client.run(both());
        CHECK(of_second.at(0).kind == Verdict::Kind::delivered);
        CHECK(of_third.at(0).kind == Verdict::Kind::delivered);
        client.quit(*outcome.connection);
        const std::lock_guard lock(kind.mutex);
        CHECK(std::ranges::count(kind.heard, "MAIL FROM:<sender@client.example>") == 3);
        CHECK(std::ranges::count(kind.heard, "RSET") == (chunking ? 2 : 0));
    }
}

TEST_CASE("a message begun behind one that ended with 421 was not answered") {
    ScriptedServer server([&](Peer& peer) {
        peer.say("220 mx.example ESMTP\r\n");
        peer.line();
        peer.say("250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
        for (int message = 0; message < 2; ++message) {
            for (int command = 0; command < 2; ++command) {
                peer.line();
                peer.say("250 fine\r\n");
            }
            peer.take(std::stoul(peer.line().substr(5)));
            peer.say(message == 0 ? "250 taken\r\n" : "421 enough\r\n");
        }
        peer.until_end();
    });
    Client client;
    auto outcome = client.connect(server.port());
    REQUIRE(outcome.connection);
    const auto envelope = to({"a"});
    client.send(*outcome.connection, envelope, k_message);
    TextSource second(k_message);
    TextSource third(k_message);
    auto find_next = [&]() { return std::optional(smtp::Outgoing{envelope, third}); };
    std::vector<Verdict> of_third;
    auto both = [&]() -> smtp::Task<void> {
        co_await outcome.connection->send(envelope, second, find_next);
        of_third = co_await outcome.connection->send(envelope, third, find_next);
    };
    client.run(both());
    CHECK(of_third.at(0).kind == Verdict::Kind::deferred);
    CHECK(of_third.at(0).reply.code == 0);
    CHECK_FALSE(outcome.connection->was_answered());
    CHECK_FALSE(outcome.connection->usable());
}

TEST_CASE("a host that says one reply too many is not given a chunk") {
    KindServer kind;
    kind.extensions = "250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n";
    kind.mail_reply = "250 fine\r\n250 very fine\r\n";
    ScriptedServer server([&](Peer& peer) { kind(peer); });
    Client client;
    auto outcome = client.connect(server.port());
    REQUIRE(outcome.connection);
    const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
    CHECK(verdicts.at(0).kind == Verdict::Kind::deferred);
    CHECK_FALSE(outcome.connection->usable());
    const std::lock_guard lock(kind.mutex);
    CHECK(std::ranges::none_of(kind.heard, [](auto& line) { return line.starts_with("BDAT"); }));
}

TEST_CASE("a host whose replies are out of step from the greeting on is not talked to") {
    for (const std::string extensions :
         {"220 mx.example ESMTP\r\n", "500 what?\r\n220 mx.example\r\n"}) {
        CAPTURE(extensions);
        KindServer kind;
        kind.extensions = extensions;
        ScriptedServer server([&](Peer& peer) { kind(peer); });
        Client client;
        auto outcome = client.connect(server.port());
        CHECK_FALSE(outcome.connection);
        CHECK(outcome.failure.kind == Verdict::Kind::deferred);
        CHECK(outcome.failure.reply.text().find("the host broke SMTP") != std::string::npos);
    }
}

TEST_CASE("with CHUNKING a message goes as it is, a small one in one flight with its commands") {
    for (const std::size_t size : {30, 60'000, 65'536, 65'537, 300'000}) {
        CAPTURE(size);
        KindServer kind;
        kind.extensions = "250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n";
        ScriptedServer server([&](Peer& peer) { kind(peer); });
        Client client;
        auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        std::string message = "Subject: x\r\n\r\n";
        message.resize(size, '.');
        for (int i = 0; i < 2; ++i) {
            const auto verdicts = client.send(*outcome.connection, to({"a"}), message);
            REQUIRE(verdicts.size() == 1);
            CHECK(verdicts[0].kind == Verdict::Kind::delivered);
        }
        client.quit(*outcome.connection);
        const std::lock_guard lock(kind.mutex);
        CHECK(std::ranges::count(kind.heard, message) == 2);
        CHECK(std::ranges::count(kind.heard, "BDAT " + std::to_string(size) + " LAST") == 2);
        CHECK(std::ranges::count(kind.heard, "DATA") == 0);
    }
}

TEST_CASE("where CHUNKING is not to be used a message goes by DATA") {
    KindServer kind;
    kind.extensions = "250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n";
    ScriptedServer server([&](Peer& peer) { kind(peer); });
    Client client;
    smtp::Endpoint endpoint{"mx.example", "127.0.0.1", server.port()};
    endpoint.chunking = false;
    auto outcome = client.connect(endpoint);
    REQUIRE(outcome.connection);
    const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
    CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
    CHECK_FALSE(outcome.connection->lacks_chunking());
    client.quit(*outcome.connection);
    const std::lock_guard lock(kind.mutex);
    CHECK(std::ranges::count(kind.heard, "DATA") == 1);
}

TEST_CASE("a host that hangs up amid a flight has said what it has said") {
    ScriptedServer server([&](Peer& peer) {
        peer.say("220 mx.example ESMTP\r\n");
        peer.line();
        peer.say("250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
        peer.line();
        peer.say("550 5.7.1 not from you\r\n");
    });
    Client client;
    auto outcome = client.connect(server.port());
    REQUIRE(outcome.connection);
    const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
    REQUIRE(verdicts.size() == 1);
    CHECK(verdicts[0].reply.text() == "550 5.7.1 not from you");
    CHECK_FALSE(outcome.connection->usable());
}

TEST_CASE("20 MB arrive as they were") {
    std::string message = "Subject: large\r\n\r\n";
    while (message.size() < 20'000'000)
        message += ".line of " + std::to_string(message.size()) + "\r\n";
    std::string wire;
    ScriptedServer server([&](Peer& peer) {
        peer.say("220 mx.example\r\n");
        peer.line();
        peer.say("250 mx.example\r\n");
        for (std::string line; !(line = peer.line()).empty();) {
            peer.say(line == "DATA" ? "354 go on\r\n" : "250 fine\r\n");
            if (line != "DATA") continue;
            wire = peer.until("\r\n.\r\n");
            peer.say("250 taken\r\n");
        }
    });
    {
        Client client;
        const auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        const auto verdicts = client.send(*outcome.connection, to({"a"}), message);
        CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
        client.quit(*outcome.connection);
    }
    std::string expected;
    for (std::size_t i = 0; i + 2 < message.size(); ++i) {
        if (message[i] == '.' && message[i - 1] == '\n') expected += '.';
        expected += message[i];
    }
    CHECK((wire == expected));
}

TEST_CASE("a server that has enough amid the message is heard, whether it reads on or not") {
    for (const bool hangs_up : {false, true}) {
        CAPTURE(hangs_up);
        ScriptedServer server([&](Peer& peer) {
            peer.say("220 mx.example\r\n");
            peer.line();
            peer.say("250 mx.example\r\n");
            for (std::string line; (line = peer.line()) != "DATA";) peer.say("250 fine\r\n");
            peer.say("354 go on\r\n");
            peer.line();
            peer.say("552 5.3.4 too much\r\n");
            if (!hangs_up) peer.until_end();
        });
        Client client;
        const auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        std::string message = "Subject: large\r\n\r\n";
        while (message.size() < 20'000'000) message += "and so on, and on, and on\r\n";
        const auto verdicts = client.send(*outcome.connection, to({"a"}), message);
        CHECK(verdicts.at(0).kind == Verdict::Kind::failed);
        CHECK(verdicts.at(0).reply.text() == "552 5.3.4 too much");
        CHECK_FALSE(outcome.connection->usable());
    }
}

TEST_CASE("a message that cannot be read to its end is never ended with a dot") {
    std::string wire;
    {
        ScriptedServer server([&](Peer& peer) {
            peer.say("220 mx.example\r\n");
            peer.line();
            peer.say("250 mx.example\r\n");
            for (std::string line; (line = peer.line()) != "DATA";) peer.say("250 fine\r\n");
            peer.say("354 go on\r\n");
            wire = peer.until("\r\n.\r\n");
        });
        Client client;
        const auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        BrokenSource source;
        const auto verdicts = client.send(*outcome.connection, to({"a"}), source);
        CHECK(verdicts.at(0).kind == Verdict::Kind::deferred);
        CHECK(verdicts.at(0).reply.text() == "Queue/1.eml: input/output error");
        CHECK_FALSE(outcome.connection->usable());
    }
    CHECK(wire.find(".\r\n") == std::string::npos);
}

TEST_CASE("a connection on which the server spoke unasked or hung up is not used again") {
    for (const std::string word : {"421 4.4.2 idle too long\r\n", "250 stray\r\n", "2", ""}) {
        CAPTURE(word);
        std::atomic<bool> said = false;
        ScriptedServer server([&](Peer& peer) {
            peer.say("220 mx.example\r\n");
            peer.line();
            peer.say("250 mx.example\r\n");
            for (std::string line; (line = peer.line()) != "RSET";) peer.say("550 no\r\n");
            peer.say("250 fine\r\n" + word);
            if (!word.empty()) peer.until_end();
        });
        Client client;
        const auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        CHECK(client.send(*outcome.connection, to({"a"}), k_message).at(0).reply.code == 550);
        while (outcome.connection->usable()) std::this_thread::yield();
        const auto verdicts = client.send(*outcome.connection, to({"a"}), k_message);
        CHECK(verdicts.at(0).kind == Verdict::Kind::deferred);
    }
}

TEST_CASE("destroying a connection hangs up without a word") {
    std::string after_greeting = "nothing came";
    {
        ScriptedServer server([&](Peer& peer) {
            peer.say("220 mx.example\r\n");
            peer.line();
            peer.say("250 mx.example\r\n");
            after_greeting = peer.until("\r\n");
        });
        Client client;
        auto outcome = client.connect(server.port());
        REQUIRE(outcome.connection);
        outcome.connection.reset();
    }
    CHECK(after_greeting.empty());
}

namespace {

/// Somebody whose passwords are these, one after the other; the last one stays.
class FakeLogin final : public smtp::Login {
 public:
    std::vector<Result<smtp::Credentials>> all;
    std::vector<std::string> forgotten;
    std::vector<Verdict> failures;

    [[nodiscard]] const std::string& name() const override { return name_; }
    smtp::Task<Result<smtp::Credentials>> credentials() override {
        auto next = all.front();
        if (all.size() > 1) all.erase(all.begin());
        co_return next;
    }
    void forget(const smtp::Credentials& credentials) override {
        forgotten.push_back(credentials.secret);
    }
    void failed(const Verdict& verdict) override { failures.push_back(verdict); }

 private:
    const std::string name_ = "joe";
};

smtp::Credentials joe(const std::string& password, bool remembered) {
    return {smtp::Credentials::Kind::password, "joe", password, remembered};
}

/// Knows joe by `good`, hangs up at `abrupt`, and repeats any other password that it is told.
struct LoginServer {
    std::string good;
    std::atomic<int> logins = 0;

    void operator()(Peer& peer) {
        peer.say("220 mx.example\r\n");
        peer.line();
        peer.say("250-mx.example\r\n250 AUTH PLAIN\r\n");
        if (!peer.line().starts_with("AUTH PLAIN")) return;
        peer.say("334 \r\n");
        const auto octets = smtp::decode_base64(peer.line()).value_or("");
        const auto password = octets.substr(octets.rfind('\0') + 1);
        ++logins;
        if (password == "abrupt") return;
        peer.say(password == good ? "235 welcome\r\n" : "535 5.7.8 not by " + password + "\r\n");
        peer.until_end();
    }
};

}  // namespace

TEST_CASE("a connection lost while we log in is no refusal") {
    LoginServer script{.good = "new"};
    ScriptedServer server(std::ref(script));
    Client client;
    FakeLogin login;
    login.all = {joe("abrupt", true)};
    const auto outcome = client.connect_as(login, server.port());
    CHECK_FALSE(outcome.connection);
    CHECK(outcome.failure.kind == Verdict::Kind::deferred);
    CHECK(outcome.failure.reply.text() == "connection closed before the login was over");
    CHECK(login.forgotten.empty());
    CHECK(login.failures.empty());
}

TEST_CASE("a login that is refused is tried once more where its secret was an old one") {
    struct Row {
        std::vector<Result<smtp::Credentials>> all;
        bool connected;
        int logins;
        std::vector<std::string> forgotten;
        std::string words;
    };
    const Error none{Error::Kind::io, "pass: ended with 1"};
    for (const auto& row : std::vector<Row>{
             {{joe("new", true)}, true, 1, {}, ""},
             {{joe("new", false)}, true, 1, {}, ""},
             {{joe("old", false)}, false, 1, {}, "login refused: 535 5.7.8 not by ..."},
             {{joe("old", true), joe("new", false)}, true, 2, {"old"}, ""},
             {{joe("old", true), joe("older", true), joe("new", false)},
              false,
              2,
              {"old"},
              "login refused: 535 5.7.8 not by ..."},
             {{joe("old", true), tl::unexpected(none)},
              false,
              1,
              {"old"},
              "cannot log in: pass: ended with 1"},
             {{tl::unexpected(none)}, false, 0, {}, "cannot log in: pass: ended with 1"},
         }) {
        LoginServer script{.good = "new"};
        ScriptedServer server(std::ref(script));
        Client client;
        FakeLogin login;
        login.all = row.all;
        const auto outcome = client.connect_as(login, server.port());
        CHECK((outcome.connection != nullptr) == row.connected);
        CHECK(script.logins == row.logins);
        CHECK(login.forgotten == row.forgotten);
        if (row.connected) {
            CHECK(login.failures.empty());
            continue;
        }
        CHECK(outcome.failure.kind == Verdict::Kind::deferred);
        CHECK(outcome.failure.reply.text() == row.words);
        CHECK(outcome.failure.host == "mx.example [127.0.0.1]");
        REQUIRE(login.failures.size() == 1);
        CHECK(login.failures[0].reply.text() == row.words);
    }
}
