#include "smtp/curl_wire.hpp"

#include "smtp/scripted_server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>

using namespace mailroot;
using namespace std::chrono_literals;

namespace {

/// A wire to a server, and what it runs on.
struct Line {
    smtp::Loop loop;
    std::unique_ptr<Reactor> reactor = smtp::make_reactor(loop);
    std::unique_ptr<smtp::CurlMulti> multi = smtp::CurlMulti::open(*reactor).value();
    std::unique_ptr<smtp::CurlWire> wire = std::make_unique<smtp::CurlWire>(*multi, *reactor);
    smtp::Endpoint endpoint{"mx.example", "127.0.0.1", 0};

    explicit Line(const ScriptedServer& server) { endpoint.port = server.port(); }

    /// Runs until `happened`, which some handler brings about.
    void run_until(const std::atomic<bool>& happened) {
        while (!happened) loop.run_one_for(1ms);
    }
};

const smtp::CurlWireOptions k_options{"client.example", {}, "", nullptr};

smtp::Task<void> connect(Line& line, smtp::CurlWire& wire, std::string& trouble) {
    const auto welcome = co_await wire.open(line.endpoint, k_options);
    trouble = welcome.trouble;
}

smtp::Task<void> read(smtp::CurlWire& wire, std::string& trouble) {
    const auto reply = co_await wire.reply(60s);
    if (!reply) trouble = reply.error().what;
}

}  // namespace

TEST_CASE("a wire may be destroyed while it connects") {
    std::atomic<bool> accepted = false;
    ScriptedServer server([&](Peer& peer) {
        accepted = true;
        peer.until_end();
    });
    Line line(server);
    bool resumed = false;
    auto task = [&]() -> smtp::Task<void> {
        (void)co_await line.wire->open(line.endpoint, k_options);
        resumed = true;
    };
    smtp::spawn(line.loop, task());
    line.run_until(accepted);
    line.wire.reset();
    line.loop.run();
    CHECK_FALSE(resumed);
}

TEST_CASE("a wire may be destroyed while a reply is awaited, or room to send") {
    for (const bool sending : {false, true}) {
        CAPTURE(sending);
        std::atomic<bool> done = false;
        ScriptedServer server([&](Peer& peer) {
            peer.say("220 mx.example\r\n");
            peer.line();
            peer.say("250 mx.example\r\n");
            while (!done) std::this_thread::yield();
        });
        Line line(server);
        const std::string flood(50'000'000, 'x');
        std::atomic<bool> open = false;
        bool resumed = false;
        auto task = [&]() -> smtp::Task<void> {
            (void)co_await line.wire->open(line.endpoint, k_options);
            open = true;
            if (sending)
                (void)co_await line.wire->send(flood, 60s, smtp::CurlWire::OnInput::stop);
            else
                (void)co_await line.wire->reply(60s);
            resumed = true;
        };
        smtp::spawn(line.loop, task());
        line.run_until(open);
        line.loop.run_for(20ms);
        line.wire.reset();
        line.loop.run();
        CHECK_FALSE(resumed);
        done = true;
    }
}

TEST_CASE("a connection that a server closed stays open here until its owner lets go") {
    // libcurl looks after the connections it takes for idle whenever it opens another one, and
    // would close such a socket while the loop still watches it.
    std::atomic<int> sessions = 0;
    std::atomic<bool> hang_up = false;
    ScriptedServer server([&](Peer& peer) {
        const bool first = ++sessions == 1;
        peer.say("220 mx.example\r\n");
        peer.line();
        peer.say("250 mx.example\r\n");
        while (first && !hang_up) std::this_thread::yield();
        if (!first) peer.until_end();
    });
    Line line(server);
    smtp::CurlWire other(*line.multi, *line.reactor);
    std::string trouble;
    smtp::spawn(line.loop, connect(line, *line.wire, trouble));
    line.loop.run();
    CHECK(trouble.empty());
    hang_up = true;

    // libcurl looks once a second at most: the loop goes on for that long.
    line.loop.restart();
    const auto second = line.reactor->after(1100ms, [] {});
    line.loop.run();

    line.loop.restart();
    smtp::spawn(line.loop, connect(line, other, trouble));
    line.loop.run();
    CHECK(trouble.empty());

    line.loop.restart();
    smtp::spawn(line.loop, read(*line.wire, trouble));
    line.loop.run();
    CHECK(trouble == "connection closed by the host");
}

TEST_CASE("the replies to a large flight are taken in while it is sent") {
    constexpr int k_count = 20000;
    ScriptedServer server([&](Peer& peer) {
        peer.say("220 mx.example\r\n");
        peer.line();
        peer.say("250 mx.example\r\n");
        for (int i = 0; i < k_count && !peer.line().empty(); ++i) peer.say("250 2.1.5 ok\r\n");
        peer.until_end();
    });
    Line line(server);
    int replies = 0;
    auto task = [&]() -> smtp::Task<void> {
        (void)co_await line.wire->open(line.endpoint, k_options);
        std::string flight;
        for (int i = 0; i < k_count; ++i)
            flight +=
                "RCPT TO:<" + std::string(200, 'x') + std::to_string(i) + "@host.example>\r\n";
        const auto sent =
            co_await line.wire->send(flight, 60s, smtp::CurlWire::OnInput::keep_sending);
        CHECK(sent.has_value());
        for (; replies < k_count; ++replies) {
            const auto reply = co_await line.wire->reply(60s);
            if (!reply) break;
        }
    };
    smtp::spawn(line.loop, task());
    line.loop.run();
    CHECK(replies == k_count);
    line.wire.reset();
}
