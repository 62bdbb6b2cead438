#include "smtp/server.hpp"

#include "smtp/quiet_log.hpp"
#include "smtp/text_source.hpp"
#include "smtp/tls.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <fcntl.h>
#include <stdexcept>
#include <sys/resource.h>
#include <unistd.h>

using namespace mailroot;
using namespace std::chrono_literals;
using asio::ip::tcp;
using smtp::Task;

namespace {

/// Takes everything and keeps it in memory.
struct MemoryIntake final : smtp::Intake, smtp::QueueTrigger {
    struct Message final : smtp::IncomingMessage {
        explicit Message(MemoryIntake& owner) : intake(owner) { ++intake.open; }
        ~Message() override { --intake.open; }
        Task<void> append(std::string portion) override {
            octets += portion;
            co_return;
        }
        Task<Reply> commit() override {
            if (intake.broken) throw std::runtime_error("no intake should throw");
            intake.stored.push_back(octets);
            co_return reply(250, "2.6.0", "<1@mx.test> Queued mail for delivery");
        }
        MemoryIntake& intake;
        std::string octets;
    };

    Task<Peer> examine(Peer client) override {
        client.name = "client.example";
        co_return client;
    }
    Task<Reply> check_sender(const Peer&, const Envelope& envelope, std::uint64_t) override {
        co_return reply(250, "2.1.0", envelope.reverse_path.text() + "....Sender OK");
    }
    Task<Reply> check_recipient(const Peer& peer, const Envelope&,
                                const Recipient& recipient) override {
        peers.push_back(peer);
        co_return reply(250, "2.1.5", recipient.address.text());
    }
    Task<Reply> start_queue(const Peer&, std::string node) override {
        co_return reply(250, "2.0.0", "Queuing for node " + node + " started");
    }
    Task<Reply> check_turn(const Peer&, std::vector<std::string> domains) override {
        if (domains.empty()) co_return reply(453, "", "You have no mail");
        co_return reply(250, "2.0.0", "OK now reversing the connection");
    }
    Task<void> turn(const Peer&, std::vector<std::string>,
                    std::unique_ptr<smtp::ClientConnection> connection) override {
        TextSource message("Subject: kept for you\r\n\r\n");
        Envelope envelope;
        envelope.recipients.resize(1);
        envelope.recipients[0].address = *parse_address("c@held.test");
        const auto verdicts = co_await connection->send(envelope, message);
        turned = verdicts.at(0).kind;
        co_await connection->quit();
    }
    std::unique_ptr<smtp::IncomingMessage> begin(const Peer&, Envelope) override {
        return std::make_unique<Message>(*this);
    }

    int open = 0;
    bool broken = false;
    std::vector<std::string> stored;
    std::vector<Peer> peers;
    std::optional<Verdict::Kind> turned;  ///< what became of the message that waited
};

class Client {
 public:
    static Task<Client> connect(std::string address) {
        Client client(co_await asio::this_coro::executor);
        const auto colon = address.rfind(':');
        const auto host =
            address.starts_with('[') ? address.substr(1, colon - 2) : address.substr(0, colon);
        const tcp::endpoint endpoint(
            asio::ip::make_address(host),
            static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
        co_await client.socket_.async_connect(endpoint, asio::use_awaitable);
        co_return client;
    }

    Task<void> say(std::string octets) {
        co_await asio::async_write(socket_, asio::buffer(octets), asio::use_awaitable);
    }

    /// The next line, or `<end>` where the server has hung up, or what the system has to say.
    Task<std::string> hear() {
        asio::error_code error;
        const auto length =
            co_await asio::async_read_until(socket_, asio::dynamic_buffer(heard_), "\r\n",
                                            asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::eof) co_return "<end>";
        if (error) co_return error.message();
        const auto line = heard_.substr(0, length - 2);
        heard_.erase(0, length);
        co_return line;
    }

    /// Says `octets` and gives the last of `lines` lines of reply.
    Task<std::string> ask(std::string octets, int lines = 1) {
        co_await say(std::move(octets));
        std::string line;
        for (int i = 0; i < lines; ++i) line = co_await hear();
        co_return line;
    }

    /// Up to the 354 of DATA.
    Task<std::string> begin_message() {
        co_return co_await ask(
            "HELO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\nDATA\r\n", 5);
    }

    void hang_up() { socket_.close(); }

 private:
    explicit Client(const asio::any_io_executor& executor) : socket_(executor) {}
    tcp::socket socket_;
    std::string heard_;
};

struct Fixture {
    explicit Fixture(smtp::ServerOptions options = {}, smtp::AdmissionOptions admission = {},
                     const smtp::ListenerOptions& listener = {"127.0.0.1:0"},
                     const std::vector<std::string>& proxies = {}) {
        options.hostname = "mx.test";
        server = smtp::make_server(context, log, options, std::move(admission),
                                   *smtp::Networks::parse(proxies));
        const auto taken = server->listen(listener);
        REQUIRE(taken);
        address = *taken;
        server->start(intake, &intake);
    }

    /// Runs the loop until the coroutine is done. `script` must outlive the call.
    template <class Script>
    void play(const Script& script) {
        std::exception_ptr thrown;
        bool done = false;
        asio::co_spawn(context, script, [&](std::exception_ptr e) {
            thrown = e;
            done = true;
            context.stop();
        });
        context.restart();
        context.run_for(30s);
        if (thrown) std::rethrow_exception(thrown);
        REQUIRE(done);
    }

    MemoryIntake intake;
    QuietLog log;
    asio::io_context context;
    std::unique_ptr<smtp::Server> server;
    std::string address;
};

smtp::ServerOptions impatient() {
    smtp::ServerOptions options;
    options.idle = 500ms;  // a busy machine may be late with our own commands
    return options;
}

}  // namespace

TEST_CASE("two clients are served at once") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto one = co_await Client::connect(f.address);
        auto two = co_await Client::connect(f.address);
        CHECK((co_await two.begin_message()).starts_with("354"));
        CHECK((co_await one.begin_message()).starts_with("354"));
        CHECK((co_await two.ask("two\r\n.\r\n")).starts_with("250 2.6.0"));
        CHECK((co_await one.ask("one\r\n.\r\n")).starts_with("250 2.6.0"));
        CHECK((co_await one.ask("QUIT\r\n")).starts_with("221"));
        CHECK((co_await one.hear()) == "<end>");
    };
    f.play(script);
    CHECK(f.intake.stored == std::vector<std::string>{"two\r\n", "one\r\n"});
    CHECK(f.intake.open == 0);
    REQUIRE(f.intake.peers.size() == 2);
    CHECK(f.intake.peers[0].address == "127.0.0.1");
    CHECK(f.intake.peers[0].port != 0);
    CHECK(f.intake.peers[0].loopback);
    CHECK(f.intake.peers[0].helo == "client.test");
}

TEST_CASE("a large message arrives octet by octet") {
    Fixture f;
    std::string message;
    for (int i = 0; message.size() < 3'000'000; ++i)
        message += "line " + std::to_string(i) + "\r\n";
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        co_await client.begin_message();
        CHECK((co_await client.ask(message + ".\r\n")).starts_with("250"));
    };
    f.play(script);
    REQUIRE(f.intake.stored.size() == 1);
    CHECK((f.intake.stored[0] == message));
}

TEST_CASE("a client that says nothing for too long is told so and hung up on") {
    Fixture f(impatient());
    const auto script = [&]() -> Task<void> {
        auto idle = co_await Client::connect(f.address);
        auto halfway = co_await Client::connect(f.address);
        co_await halfway.begin_message();
        co_await halfway.say("half a");
        CHECK((co_await idle.hear()).starts_with("220"));
        CHECK((co_await idle.hear()).starts_with("421 4.4.2"));
        CHECK((co_await idle.hear()) == "<end>");
        CHECK((co_await halfway.hear()).starts_with("421 4.4.2"));
        CHECK((co_await halfway.hear()) == "<end>");
    };
    f.play(script);
    CHECK(f.intake.stored.empty());
    CHECK(f.intake.open == 0);
}

TEST_CASE("a connection that breaks in the middle of a message leaves nothing") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        co_await client.begin_message();
        co_await client.say("text\r\n.\r");
        client.hang_up();
        co_await f.server->stop(10s);
    };
    f.play(script);
    CHECK(f.intake.stored.empty());
    CHECK(f.intake.open == 0);
    CHECK(std::ranges::count(f.log.sessions, "127.0.0.1 lost in a transaction") == 1);
}

TEST_CASE("stopping ends idle sessions and lets transactions finish") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto idle = co_await Client::connect(f.address);
        auto busy = co_await Client::connect(f.address);
        CHECK((co_await idle.ask("HELO client.test\r\n", 2)).starts_with("250"));
        CHECK((co_await busy.begin_message()).starts_with("354"));

        const auto start = std::chrono::steady_clock::now();
        bool stopped = false;
        const auto stop = [&]() -> Task<void> {
            co_await f.server->stop(20s);
            stopped = true;
        };
        asio::co_spawn(f.context, stop, asio::detached);
        CHECK((co_await idle.hear()).starts_with("421 4.3.2"));
        CHECK((co_await idle.hear()) == "<end>");
        idle.hang_up();
        CHECK_FALSE(stopped);
        CHECK((co_await busy.ask("text\r\n.\r\n")).starts_with("250 2.6.0"));
        CHECK((co_await busy.hear()).starts_with("421 4.3.2"));
        CHECK((co_await busy.hear()) == "<end>");
        busy.hang_up();
        while (!stopped) co_await asio::post(f.context, asio::use_awaitable);
        CHECK(std::chrono::steady_clock::now() - start < 10s);
    };
    f.play(script);
    CHECK(f.intake.stored == std::vector<std::string>{"text\r\n"});
    CHECK(f.intake.open == 0);
}

TEST_CASE("a server that stops takes no new clients") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        co_await f.server->stop(10s);
        const auto connect = Client::connect;
        bool refused = false;
        try {
            co_await connect(f.address);
        } catch (const asio::system_error& e) {
            refused = e.code() == asio::error::connection_refused;
        }
        CHECK(refused);
    };
    f.play(script);
}

TEST_CASE("when the grace is over, what still runs is cut off") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        co_await client.begin_message();
        co_await f.server->stop(0s);
        CHECK(f.intake.open == 0);
        CHECK((co_await client.hear()) == "<end>");
    };
    f.play(script);
    CHECK(f.intake.stored.empty());
}

TEST_CASE("a server destroyed under its sessions ends them") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        co_await client.begin_message();
        f.server.reset();
        CHECK((co_await client.hear()) == "<end>");
    };
    f.play(script);
    CHECK(f.intake.open == 0);
}

TEST_CASE("one client too many is told so; the next finds a place again") {
    smtp::ServerOptions options;
    options.connections = 1;
    Fixture f(options);
    const auto script = [&]() -> Task<void> {
        auto first = co_await Client::connect(f.address);
        CHECK((co_await first.hear()).starts_with("220"));
        auto second = co_await Client::connect(f.address);
        CHECK((co_await second.hear()) == "421 4.7.0 Too many connections");
        CHECK((co_await second.hear()) == "<end>");
        CHECK((co_await first.ask("QUIT\r\n")).starts_with("221"));
        first.hang_up();
        for (std::string line; !line.starts_with("220");) {
            auto third = co_await Client::connect(f.address);
            line = co_await third.hear();
        }
    };
    f.play(script);
}

TEST_CASE("the last reply arrives though the client goes on talking") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        co_await client.say("POST / HTTP/1.1\r\n");
        CHECK((co_await client.hear()).starts_with("220"));
        // More than the buffers between us hold: it is sent only if the other end reads it.
        co_await client.say(std::string(10'000'000, 'x'));
        CHECK((co_await client.hear()).starts_with("421 4.7.0"));
        CHECK((co_await client.hear()) == "<end>");
    };
    f.play(script);
}

TEST_CASE("an exception ends one session and no other") {
    Fixture f;
    const auto script = [&]() -> Task<void> {
        auto other = co_await Client::connect(f.address);
        CHECK((co_await other.hear()).starts_with("220"));
        auto client = co_await Client::connect(f.address);
        co_await client.begin_message();
        f.intake.broken = true;
        CHECK((co_await client.ask("x\r\n.\r\n")) == "<end>");
        CHECK((co_await other.ask("NOOP\r\n")).starts_with("250"));
    };
    f.play(script);
    CHECK(f.intake.open == 0);
    CHECK(f.log.warnings ==
          std::vector<std::string>{"session with 127.0.0.1: no intake should throw"});
}

TEST_CASE("without descriptors the server waits, warns once and goes on") {
    Fixture f;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int lowest = ::open("/dev/null", O_RDONLY);
    ::close(lowest);
    // The client's socket gets the last one.
    const rlimit tight{static_cast<rlim_t>(lowest) + 1, before.rlim_max};
    const auto script = [&]() -> Task<void> {
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
        auto client = co_await Client::connect(f.address);
        while (f.log.warnings.empty()) co_await asio::post(f.context, asio::use_awaitable);
        // Past one more failure, so that a second warning would be seen.
        asio::steady_timer timer(f.context, 600ms);
        co_await timer.async_wait(asio::use_awaitable);
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        CHECK((co_await client.hear()).starts_with("220"));
    };
    f.play(script);
    CHECK(f.log.warnings ==
          std::vector<std::string>{"cannot accept connections: Too many open files"});
}

TEST_CASE("addresses that can be listened at, and others") {
    Fixture f;
    const auto v6 = f.server->listen({"[::1]:0"});
    REQUIRE(v6);
    CHECK(v6->starts_with("[::1]:"));
    // One port for both families, as in the default of `serve`.
    const auto any = f.server->listen({"[::]:0"});
    REQUIRE(any);
    CHECK(f.server->listen({"0.0.0.0" + any->substr(4)}));

    struct {
        std::string text;
        Error::Kind kind;
    } const rows[] = {
        {f.address, Error::Kind::unavailable},
        {"192.0.2.1:0", Error::Kind::unavailable},
        {"", Error::Kind::parse},
        {":", Error::Kind::parse},
        {"25", Error::Kind::parse},
        {"127.0.0.1", Error::Kind::parse},
        {"127.0.0.1:", Error::Kind::parse},
        {"127.0.0.1:65536", Error::Kind::parse},
        {"127.0.0.1:-1", Error::Kind::parse},
        {"127.0.0.1:25x", Error::Kind::parse},
        {"[127.0.0.1]:25", Error::Kind::parse},
        {"::1:25", Error::Kind::parse},
        {"localhost:25", Error::Kind::parse},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto taken = f.server->listen({row.text});
        REQUIRE_FALSE(taken);
        CHECK(taken.error().kind == row.kind);
        CHECK(taken.error().what.find(row.text) != std::string::npos);
    }
}

TEST_CASE("a proxy says who the client is, before anything else") {
    Fixture f({}, {}, {"127.0.0.1:0"}, {"127.0.0.0/8"});
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        co_await client.say("PROXY TCP4 192.0.2.9 127.0.0.1 4711 25\r\n");
        CHECK((co_await client.begin_message()).starts_with("354"));
        CHECK((co_await client.ask("text\r\n.\r\n")).starts_with("250"));
        auto silent = co_await Client::connect(f.address);
        co_await silent.say("HELO client.test\r\n");
        const auto said = co_await silent.hear();
        CHECK_FALSE(said.starts_with("2"));
    };
    f.play(script);
    REQUIRE(f.intake.peers.size() == 1);
    CHECK(f.intake.peers[0].address == "192.0.2.9");
    CHECK(f.intake.peers[0].port == 4711);
    CHECK_FALSE(f.intake.peers[0].loopback);
    CHECK(std::ranges::count(f.log.sessions, "127.0.0.1 turned away 421") == 1);
}

TEST_CASE("an address has so many sessions at once") {
    smtp::AdmissionOptions admission;
    admission.connections_per_ip = 1;
    Fixture f({}, std::move(admission));
    const auto script = [&]() -> Task<void> {
        auto first = co_await Client::connect(f.address);
        CHECK((co_await first.hear()).starts_with("220"));
        auto second = co_await Client::connect(f.address);
        CHECK((co_await second.hear()).starts_with("421 4.7.0 Too many connections from your"));
        CHECK((co_await second.hear()) == "<end>");
        CHECK((co_await first.ask("QUIT\r\n")).starts_with("221"));
        CHECK((co_await first.hear()) == "<end>");
        first.hang_up();
        for (std::string greeting; !greeting.starts_with("220");) {
            auto third = co_await Client::connect(f.address);
            greeting = co_await third.hear();
        }
    };
    f.play(script);
}

TEST_CASE("a connection is turned around for who may") {
    smtp::ServerOptions options;
    options.turn = true;
    options.auth_requires_tls = false;
    Fixture f(options);
    // The password is "secret".
    const auto users = smtp::Users::parse(
        "joe:$6$aaaaaaaa$Uy05juZUvx6BGwo60q0gdTgdBQxG/XdfPiPVaseSX3o99IXYqUVqe/"
        "AvHlD5DWm5MkgiS4k29TpTxDT.XwP/t1\n");
    REQUIRE(users);
    f.server->use({nullptr, std::make_shared<smtp::Users>(*users)});
    const auto script = [&]() -> Task<void> {
        auto client = co_await Client::connect(f.address);
        CHECK((co_await client.ask("EHLO client.test\r\n", 16)).starts_with("250"));
        CHECK((co_await client.ask("ATRN held.test\r\n")).starts_with("530"));
        CHECK((co_await client.ask("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n")).starts_with("235"));
        CHECK((co_await client.ask("ATRN\r\n")).starts_with("453"));
        CHECK((co_await client.ask("ATRN held.test\r\n")).starts_with("250"));
        CHECK((co_await client.ask("220 held.test\r\n")) == "EHLO mx.test");
        CHECK((co_await client.ask("250 held.test\r\n")) == "MAIL FROM:<>");
        CHECK((co_await client.ask("250 OK\r\n")) == "RCPT TO:<c@held.test>");
        CHECK((co_await client.ask("250 OK\r\n")) == "DATA");
        CHECK((co_await client.ask("354 go on\r\n", 3)) == ".");
        CHECK((co_await client.ask("250 OK\r\n")) == "QUIT");
        CHECK((co_await client.ask("221 bye\r\n")) == "<end>");
    };
    f.play(script);
    CHECK(f.intake.turned == Verdict::Kind::delivered);
    CHECK(std::ranges::count(f.log.sessions, "127.0.0.1 turned around") == 1);
}

TEST_CASE("an encrypted session is served as a plain one is") {
    const auto folder = std::string(MAILROOT_TESTS) + "/tls/";
    const auto tls = smtp::TlsContext::load(folder + "certificate.pem", folder + "key.pem");
    REQUIRE(tls);
    Fixture f({}, {}, {"127.0.0.1:0", smtp::ListenerOptions::Tls::implicit, true});
    f.server->use({*tls, nullptr});
    std::string message;
    for (int i = 0; message.size() < 1'000'000; ++i)
        message += "line " + std::to_string(i) + "\r\n";
    const auto script = [&]() -> Task<void> {
        asio::ssl::context trusting(asio::ssl::context::tls_client);
        trusting.load_verify_file(folder + "certificate.pem");
        asio::ssl::stream<tcp::socket> client(co_await asio::this_coro::executor, trusting);
        client.set_verify_mode(asio::ssl::verify_peer);
        const auto port = std::stoi(f.address.substr(f.address.rfind(':') + 1));
        const tcp::endpoint endpoint(asio::ip::make_address("127.0.0.1"),
                                     static_cast<std::uint16_t>(port));
        co_await client.next_layer().async_connect(endpoint, asio::use_awaitable);
        co_await client.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
        const auto sent =
            "HELO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\n"
            "DATA\r\n" +
            message + ".\r\nQUIT\r\n";
        co_await asio::async_write(client, asio::buffer(sent), asio::use_awaitable);
        std::string heard;
        asio::error_code error;
        co_await asio::async_read_until(client, asio::dynamic_buffer(heard), "\r\n221 ",
                                        asio::redirect_error(asio::use_awaitable, error));
        CHECK_FALSE(error);
        CHECK(heard.find("\r\n250 2.6.0 ") != std::string::npos);
    };
    f.play(script);
    REQUIRE(f.intake.stored.size() == 1);
    CHECK((f.intake.stored[0] == message));
    CHECK(f.intake.peers.at(0).tls_protocol == "TLSv1.3");
}
