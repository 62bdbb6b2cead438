#include "delivery/destinations.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

class Text final : public OutgoingMessage {
 public:
    [[nodiscard]] std::uint64_t size() const override { return 4; }
    smtp::Task<Result<std::string>> next() override {
        read_ = true;
        co_return std::exchange(left_, "");
    }
    [[nodiscard]] bool read_to_the_end() const override { return read_ && left_.empty(); }

 private:
    std::string left_ = "a\r\n";
    bool read_ = false;
};

Route route_to(const std::string& address) {
    Route route;
    route.kind = Route::Kind::remote;
    route.destination = address;
    route.endpoints = {{"mx", address, 25}};
    return route;
}

Envelope to(const std::string& local_part) {
    Envelope envelope;
    envelope.recipients = {{{local_part, "there.example"}, "", "", false}};
    return envelope;
}

/// Hands `count` messages to one host at once; gives how each ended.
std::vector<Verdict::Kind> deliver(DeliveryFixture& fixture, int count) {
    std::vector<Verdict::Kind> kinds;
    smtp::TaskGroup group(fixture.loop);
    auto one = [&](int number) -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        const auto verdicts = co_await fixture.destinations.deliver(
            route_to("192.0.2.1"), to("r" + std::to_string(number)), open);
        REQUIRE(verdicts.size() == 1);
        kinds.push_back(verdicts[0].kind);
    };
    auto all = [&]() -> smtp::Task<void> {
        for (int i = 0; i < count; ++i) group.start(one(i));
        co_await group.idle();
    };
    fixture.run(all());
    return kinds;
}

}  // namespace

TEST_CASE_FIXTURE(DeliveryFixture, "a destination has no more connections than it may") {
    settings.delivery.connections_per_domain = 3;
    const auto kinds = deliver(*this, 20);
    CHECK(kinds == std::vector<Verdict::Kind>(20, Verdict::Kind::delivered));
    CHECK(hosts.most_open == 3);
    CHECK(hosts.delivered.size() == 20);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a connection takes so many messages and no more") {
    settings.delivery.connections_per_domain = 1;
    settings.delivery.messages_per_connection = 5;
    deliver(*this, 12);
    CHECK(hosts.delivered.size() == 12);
    CHECK(hosts.connections == 3);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a connection lost between two messages costs neither") {
    settings.delivery.connections_per_domain = 1;
    hosts.lost_after = 2;
    const auto kinds = deliver(*this, 6);
    CHECK(kinds == std::vector<Verdict::Kind>(6, Verdict::Kind::delivered));
    CHECK(hosts.delivered.size() == 6);
    CHECK(hosts.connections == 3);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a 421 between two messages costs neither") {
    settings.delivery.connections_per_domain = 1;
    hosts.busy_after = 2;
    const auto kinds = deliver(*this, 6);
    CHECK(kinds == std::vector<Verdict::Kind>(6, Verdict::Kind::delivered));
    CHECK(hosts.delivered.size() == 6);
    CHECK(hosts.connections == 3);
}

TEST_CASE_FIXTURE(DeliveryFixture, "who hung up between two messages had none of the second") {
    settings.delivery.connections_per_domain = 1;
    hosts.gone_after = 2;
    SUBCASE("without a word it goes again") {
        const auto kinds = deliver(*this, 6);
        CHECK(kinds == std::vector<Verdict::Kind>(6, Verdict::Kind::delivered));
    }
    SUBCASE("with one, and all of it sent, it may have it") {
        hosts.gone_with_a_word = true;
        const auto kinds = deliver(*this, 3);
        CHECK(std::ranges::count(kinds, Verdict::Kind::deferred) == 1);
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "a host that loses every connection at once defers") {
    settings.delivery.connections_per_domain = 1;
    hosts.lost_after = 0;
    const auto kinds = deliver(*this, 3);
    CHECK(kinds == std::vector<Verdict::Kind>(3, Verdict::Kind::deferred));
}

TEST_CASE_FIXTURE(DeliveryFixture, "an unreachable host decides all that is ready for it") {
    settings.delivery.connections_per_domain = 2;
    hosts.connect_codes["192.0.2.1"] = 0;
    const auto kinds = deliver(*this, 50);
    CHECK(kinds == std::vector<Verdict::Kind>(50, Verdict::Kind::deferred));
    CHECK(hosts.connections <= 4);
}

TEST_CASE_FIXTURE(DeliveryFixture, "the second host is tried where the first cannot be reached") {
    hosts.connect_codes["192.0.2.1"] = 0;
    auto route = route_to("192.0.2.1");
    route.endpoints.push_back({"mx2", "192.0.2.2", 25});
    auto task = [&]() -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        const auto verdicts = co_await destinations.deliver(route, to("r"), open);
        CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
    };
    run(task());
    REQUIRE(hosts.delivered.size() == 1);
    CHECK(hosts.delivered[0].address == "192.0.2.2");
}

TEST_CASE_FIXTURE(DeliveryFixture, "who is not let in at one address does not try the others") {
    hosts.connect_codes["192.0.2.1"] = 535;
    auto route = route_to("192.0.2.1");
    route.endpoints.push_back({"mx", "192.0.2.2", 25});
    auto task = [&]() -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        const auto verdicts = co_await destinations.deliver(route, to("r"), open);
        CHECK(verdicts.at(0).reply.code == 535);
    };
    run(task());
    CHECK(hosts.connections == 1);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "all destinations together keep to the limit, and none starves") {
    settings.delivery.connections = 2;
    smtp::TaskGroup group(loop);
    int delivered = 0;
    auto one = [&](std::string address) -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        const auto verdicts = co_await destinations.deliver(route_to(address), to("r"), open);
        delivered += verdicts.at(0).kind == Verdict::Kind::delivered ? 1 : 0;
    };
    auto all = [&]() -> smtp::Task<void> {
        for (int host = 1; host <= 6; ++host) group.start(one("192.0.2." + std::to_string(host)));
        co_await group.idle();
    };
    run(all());
    CHECK(delivered == 6);
    CHECK(hosts.most_open == 2);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a host that is down outweighs one that never takes mail") {
    for (const bool down_first : {true, false}) {
        CAPTURE(down_first);
        hosts.connect_codes = {{"192.0.2.1", down_first ? 0 : 554},
                               {"192.0.2.2", down_first ? 554 : 0}};
        auto route = route_to("192.0.2.1");
        route.endpoints.push_back({"mx2", "192.0.2.2", 25});
        auto task = [&]() -> smtp::Task<void> {
            auto open = [] { return std::make_unique<Text>(); };
            const auto verdicts = co_await destinations.deliver(route, to("r"), open);
            CHECK(verdicts.at(0).kind == Verdict::Kind::deferred);
        };
        run(task());
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "who cannot be reached is probed by one connection, once") {
    settings.delivery.retry = {1h};
    hosts.connect_codes["192.0.2.1"] = 0;
    CHECK(deliver(*this, 50) == std::vector<Verdict::Kind>(50, Verdict::Kind::deferred));
    CHECK(deliver(*this, 50) == std::vector<Verdict::Kind>(50, Verdict::Kind::deferred));
    CHECK(hosts.connections == 1);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "after the rest it is probed again, and is a host like any other") {
    settings.delivery.retry = {1ms};
    hosts.connect_codes["192.0.2.1"] = 0;
    deliver(*this, 1);
    hosts.connect_codes.clear();
    run(smtp::pause(2ms));
    CHECK(deliver(*this, 3) == std::vector<Verdict::Kind>(3, Verdict::Kind::delivered));
}

TEST_CASE_FIXTURE(DeliveryFixture, "what somebody asks for is tried where nobody was reached") {
    settings.delivery.retry = {1h};
    hosts.connect_codes["192.0.2.1"] = 0;
    deliver(*this, 1);
    hosts.connect_codes.clear();
    auto task = [&]() -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        auto route = route_to("192.0.2.1");
        route.asked_for = true;
        const auto verdicts = co_await destinations.deliver(route, to("r"), open);
        CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
    };
    run(task());
    // It is back: so it is for all.
    CHECK(deliver(*this, 1).front() == Verdict::Kind::delivered);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a host that drops three connections in a row is left alone") {
    settings.delivery.retry = {1h};
    settings.delivery.connections_per_domain = 1;
    hosts.lost_after = 0;
    CHECK(deliver(*this, 20) == std::vector<Verdict::Kind>(20, Verdict::Kind::deferred));
    CHECK(hosts.connections == 3);
}

TEST_CASE_FIXTURE(DeliveryFixture, "of two hosts the one that was down is tried last") {
    settings.delivery.retry = {1h};
    settings.delivery.messages_per_connection = 1;
    settings.delivery.connections_per_domain = 1;
    hosts.connect_codes["192.0.2.1"] = 0;
    auto task = [&]() -> smtp::Task<void> {
        for (int i = 0; i < 5; ++i) {
            auto open = [] { return std::make_unique<Text>(); };
            auto route = route_to("192.0.2.1");
            route.endpoints.push_back({"mx2", "192.0.2.2", 25});
            const auto verdicts = co_await destinations.deliver(route, to("r"), open);
            CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
        }
    };
    run(task());
    CHECK(hosts.connections == 6);  // five, and one in vain
}

TEST_CASE_FIXTURE(DeliveryFixture, "room grows with a greeting, is told, and ends with a death") {
    settings.delivery.retry = {1h};
    std::vector<Destinations::Room> rooms;
    destinations.on_room([&](const std::string& name, Destinations::Room room) {
        CHECK(name == "192.0.2.1");
        rooms.push_back(room);
    });
    deliver(*this, 1);
    REQUIRE(rooms.size() == 2);
    CHECK(rooms[0].messages == 60);
    CHECK(rooms[1] == Destinations::Room{});
    hosts.connect_codes["192.0.2.1"] = 0;
    deliver(*this, 1);
    REQUIRE(rooms.size() == 3);
    CHECK(rooms[2].messages == 3);
    CHECK(rooms[2].dead_until > std::chrono::steady_clock::now() + 50min);
}

TEST_CASE_FIXTURE(DeliveryFixture, "who cannot wait is told so, unless it is being sent") {
    settings.delivery.connections_per_domain = 1;
    hosts.greeting_takes = 200ms;
    std::optional<std::vector<Verdict>> impatient;
    std::optional<std::vector<Verdict>> patient;
    auto one = [&](std::chrono::milliseconds patience,
                   std::optional<std::vector<Verdict>>& verdicts) -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        verdicts =
            co_await destinations.deliver_soon(route_to("192.0.2.1"), to("r"), open, patience);
    };
    auto all = [&]() -> smtp::Task<void> {
        smtp::TaskGroup group(loop);
        group.start(one(1ms, impatient));
        group.start(one(1h, patient));
        co_await group.idle();
    };
    run(all());
    CHECK_FALSE(impatient);
    REQUIRE(patient);
    CHECK(patient->at(0).kind == Verdict::Kind::delivered);
    CHECK(hosts.delivered.size() == 1);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a host that does not know BDAT has the message by DATA") {
    settings.delivery.connections_per_domain = 1;
    hosts.lacks_chunking = true;
    CHECK(deliver(*this, 3) == std::vector<Verdict::Kind>(3, Verdict::Kind::delivered));
    CHECK(hosts.connections == 2);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a message is begun behind another one, each goes once") {
    hosts.pipelining = true;
    settings.delivery.connections_per_domain = 1;
    settings.delivery.messages_per_connection = 5;
    SUBCASE("as many as a connection takes") {
        CHECK(deliver(*this, 12) == std::vector<Verdict::Kind>(12, Verdict::Kind::delivered));
        CHECK(hosts.connections == 3);
        CHECK(hosts.begun == 4 + 4 + 1);
    }
    SUBCASE("and where the connection is lost between the two, over another one") {
        hosts.lost_after = 2;
        CHECK(deliver(*this, 6) == std::vector<Verdict::Kind>(6, Verdict::Kind::delivered));
    }
    CHECK(hosts.delivered.size() % 6 == 0);
}

TEST_CASE_FIXTURE(DeliveryFixture, "who has nothing to send takes the next message") {
    hosts.pipelining = true;
    deliver(*this, 2);
    CHECK(hosts.begun == 0);
}

TEST_CASE_FIXTURE(DeliveryFixture, "messages for a destination with a rate go evenly") {
    hosts.pipelining = true;
    auto route = route_to("192.0.2.1");
    route.rate = Rate{50, 1s};
    const auto began = std::chrono::steady_clock::now();
    smtp::TaskGroup group(loop);
    auto one = [&]() -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        const auto verdicts = co_await destinations.deliver(route, to("r"), open);
        CHECK(verdicts.at(0).kind == Verdict::Kind::delivered);
    };
    auto all = [&]() -> smtp::Task<void> {
        for (int i = 0; i < 6; ++i) group.start(one());
        co_await group.idle();
    };
    run(all());
    CHECK(std::chrono::steady_clock::now() - began >= 100ms);
    CHECK(hosts.most_open <= 2);
    CHECK(hosts.begun == 0);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a message that comes while the last connection ends goes, too") {
    SUBCASE("where there may be no other") {
        settings.delivery.connections_per_domain = 1;
    }
    SUBCASE("where there may be others") {
        settings.delivery.connections_per_domain = 5;
    }
    hosts.quit_takes = 100ms;
    smtp::Signal quitting(loop);
    hosts.on_quit = [&quitting] { quitting.notify(); };
    auto one = [&]() -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        co_await destinations.deliver(route_to("192.0.2.1"), to("r"), open);
    };
    auto two = [&]() -> smtp::Task<void> {
        co_await one();
        co_await quitting.wait();
        co_await one();
    };
    run(two());
    CHECK(hosts.delivered.size() == 2);
}

TEST_CASE_FIXTURE(DeliveryFixture, "where all connections are in use nobody keeps one for later") {
    settings.delivery.connections = 1;
    settings.delivery.messages_per_connection = 2;
    std::vector<std::string> order;
    smtp::TaskGroup group(loop);
    auto one = [&](std::string address) -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        co_await destinations.deliver(route_to(address), to("r"), open);
        order.push_back(address);
    };
    auto all = [&]() -> smtp::Task<void> {
        for (int i = 0; i < 6; ++i) group.start(one("192.0.2.1"));
        group.start(one("192.0.2.2"));
        co_await group.idle();
    };
    const auto began = std::chrono::steady_clock::now();
    run(all());
    CHECK(std::chrono::steady_clock::now() - began < 1500ms);
    REQUIRE(order.size() == 7);
    CHECK(order[2] == "192.0.2.2");
}

TEST_CASE_FIXTURE(DeliveryFixture, "a rate is kept between messages that come one by one") {
    auto route = route_to("192.0.2.1");
    route.rate = Rate{1, 2500ms};
    smtp::Signal quitting(loop);
    hosts.on_quit = [&quitting] { quitting.notify(); };
    const auto began = std::chrono::steady_clock::now();
    auto one = [&]() -> smtp::Task<void> {
        auto open = [] { return std::make_unique<Text>(); };
        co_await destinations.deliver(route, to("r"), open);
    };
    auto two = [&]() -> smtp::Task<void> {
        co_await one();
        co_await quitting.wait();
        co_await one();
    };
    run(two());
    CHECK(hosts.connections == 2);
    CHECK(std::chrono::steady_clock::now() - began >= 2500ms);
}
