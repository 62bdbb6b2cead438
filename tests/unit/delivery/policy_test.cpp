#include "delivery/local_domains.hpp"
#include "delivery/rescan.hpp"
#include "delivery/retry_policy.hpp"
#include "delivery/schedule.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

TEST_CASE("attempts follow the schedule, and its last step again and again") {
    const config::Settings::Delivery policy;
    const TimePoint now{1'800'000'000s};
    struct Row {
        int attempts;
        std::chrono::minutes delay;
    };
    for (const auto& row : {Row{1, 15min}, Row{2, 30min}, Row{3, 60min}, Row{4, 240min},
                            Row{5, 240min}, Row{100, 240min}}) {
        CAPTURE(row.attempts);
        CHECK(next_attempt(policy, now, row.attempts, 0) == now + row.delay);
        CHECK(next_attempt(policy, now, row.attempts, 1) ==
              now + std::chrono::seconds{row.delay} * 11 / 10);
        CHECK(next_attempt(policy, now, row.attempts, -1) ==
              now + std::chrono::seconds{row.delay} * 9 / 10);
    }
}

TEST_CASE("a message expires two days after its arrival") {
    const config::Settings::Delivery policy;
    const TimePoint arrival{1'800'000'000s};
    CHECK_FALSE(is_expired(policy, arrival, arrival + 48h - 1s));
    CHECK(is_expired(policy, arrival, arrival + 48h));
}

TEST_CASE("local are the default domain, its aliases, and what stands below a wildcard") {
    config::Settings::Domains domains;
    domains.default_domain = "here.example";
    domains.aliases = {"alias.example", "*.wild.example"};
    for (const auto* local : {"here.example", "HERE.example", "alias.example", "a.wild.example",
                              "a.b.Wild.example", ""}) {
        CAPTURE(local);
        CHECK(is_local(domains, local));
    }
    for (const auto* remote : {"there.example", "wild.example", "sub.here.example",
                               "notwild.example", ".wild.example.org"}) {
        CAPTURE(remote);
        CHECK_FALSE(is_local(domains, remote));
    }
    domains.aliases.emplace_back("bücher.example");
    domains.aliases.emplace_back("*.müller.example");
    for (const auto* local : {"bücher.example", "BÜCHER.example", "xn--bcher-kva.example",
                              "XN--BCHER-KVA.example", "a.xn--mller-kva.example"}) {
        CAPTURE(local);
        CHECK(is_local(domains, local));
    }
    CHECK(completed(domains, {"postmaster", ""}).text() == "postmaster@here.example");
    CHECK(completed(domains, {"a", "b.example"}).text() == "a@b.example");
    CHECK(completed(domains, {}).is_null());
}

TEST_CASE("a remote domain is known by its name, else by the longest pattern") {
    config::Settings::Domains domains;
    domains.remote["a.example"].turn = {"name"};
    domains.remote["*.example"].turn = {"short"};
    domains.remote["*.a.example"].turn = {"long"};
    const auto user_of = [&](const char* domain) {
        const auto* remote = remote_domain(domains, domain);
        return remote == nullptr ? "" : remote->turn.front();
    };
    CHECK(user_of("A.example") == "name");
    CHECK(user_of("b.a.example") == "long");
    CHECK(user_of("b.example") == "short");
    CHECK(user_of("example") == "");
}

TEST_CASE("the schedule gives what is due, earliest first, each once") {
    Schedule schedule(100);
    const TimePoint now{1'800'000'000s};
    const MessageId a(1, 0), b(2, 0), c(3, 0);
    CHECK_FALSE(schedule.earliest());
    schedule.set(a, now + 2s);
    schedule.set(b, now + 1s);
    schedule.set(c, now + 9s);
    schedule.set(c, now);
    CHECK(schedule.size() == 3);
    CHECK(schedule.earliest() == now);
    CHECK(schedule.take_due(now + 1s) == c);
    CHECK(schedule.take_due(now + 1s) == b);
    CHECK_FALSE(schedule.take_due(now + 1s));
    schedule.forget(a);
    CHECK(schedule.size() == 0);
}

TEST_CASE("of a large queue the schedule holds what is due soonest, and knows of the rest") {
    Schedule schedule(4);
    const TimePoint now{1'800'000'000s};
    for (const int due : {9, 3, 7, 1, 8, 2}) {
        schedule.set(MessageId(static_cast<std::uint64_t>(due), 0),
                     now + std::chrono::seconds{due});
    }
    CHECK(schedule.size() == 4);
    CHECK_FALSE(schedule.look_needed());
    for (const std::uint64_t next : {1, 2})
        CHECK(schedule.take_due(now + 1h) == MessageId(next, 0));
    CHECK(schedule.look_needed() == now + 8s);
    schedule.look_begins();
    CHECK_FALSE(schedule.look_needed());
}

TEST_CASE("looking at a large folder takes little of the time where events tell of changes") {
    CHECK(until_next_look(30s, 10ms, true) == 30s);
    CHECK(until_next_look(30s, 300ms, true) == 60s);
    CHECK(until_next_look(30s, 300ms, false) == 30s);
}
