#include "delivery/destinations.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;

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
