#include "delivery/local_domains.hpp"
#include "delivery/rescan.hpp"
#include "delivery/retry_policy.hpp"

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

TEST_CASE("where attempts are not counted, the age says how many there would have been") {
    const config::Settings::Delivery policy;
    const TimePoint arrival{1'800'000'000s};
    struct Row {
        std::chrono::minutes age;
        std::chrono::minutes delay;
    };
    for (const auto& row :
         {Row{0min, 15min}, Row{14min, 15min}, Row{15min, 30min}, Row{44min, 30min},
          Row{45min, 60min}, Row{105min, 240min}, Row{40h, 240min}}) {
        CAPTURE(row.age.count());
        const auto now = arrival + row.age;
        CHECK(next_attempt_by_age(policy, arrival, now, 0) == now + row.delay);
    }
}

TEST_CASE("no message comes back before the shortest step of the schedule") {
    config::Settings::Delivery policy;
    policy.retry = {60min, 10min};
    CHECK(shortest_wait(policy) == 9min);
    const TimePoint now{1'800'000'000s};
    CHECK(next_attempt(policy, now, 2, -1) - now == shortest_wait(policy));
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

TEST_CASE("looking at a large folder takes little of the time where events tell of changes") {
    CHECK(until_next_look(30s, 10ms, true) == 30s);
    CHECK(until_next_look(30s, 300ms, true) == 60s);
    CHECK(until_next_look(30s, 300ms, false) == 30s);
}
