#include "delivery/local_domains.hpp"
#include "delivery/report_limit.hpp"
#include "delivery/rescan.hpp"
#include "delivery/retention_policy.hpp"
#include "delivery/retry_policy.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <string>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

TEST_CASE("attempts follow the schedule, and its last step again and again") {
    const config::Settings::Delivery settings;
    const TimePoint now{1'800'000'000s};
    struct Row {
        bool local;
        int attempts;
        std::chrono::minutes delay;
    };
    for (const auto& row : {Row{false, 1, 15min}, Row{false, 2, 30min}, Row{false, 3, 60min},
                            Row{false, 4, 240min}, Row{false, 5, 240min}, Row{false, 100, 240min},
                            Row{true, 1, 60min}, Row{true, 2, 60min}, Row{true, 100, 60min}}) {
        CAPTURE(row.local);
        CAPTURE(row.attempts);
        const auto policy = retry_policy(settings, row.local);
        CHECK(next_attempt(policy, now, row.attempts, 0) == now + row.delay);
        CHECK(next_attempt(policy, now, row.attempts, 1) ==
              now + std::chrono::seconds{row.delay} * 11 / 10);
        CHECK(next_attempt(policy, now, row.attempts, -1) ==
              now + std::chrono::seconds{row.delay} * 9 / 10);
    }
}

TEST_CASE("where attempts are not counted, the age says how many there would have been") {
    const config::Settings::Delivery settings;
    const auto policy = retry_policy(settings, false);
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
    config::Settings::Delivery settings;
    settings.retry = {60min, 10min};
    const auto policy = retry_policy(settings, false);
    CHECK(shortest_wait(policy) == 9min);
    const TimePoint now{1'800'000'000s};
    CHECK(next_attempt(policy, now, 2, -1) - now == shortest_wait(policy));
}

TEST_CASE("a message expires two days after its arrival") {
    config::Settings::Delivery settings;
    const TimePoint arrival{1'800'000'000s};
    for (const bool local : {false, true}) {
        const auto policy = retry_policy(settings, local);
        CHECK_FALSE(is_expired(policy, arrival, arrival + 48h - 1s));
        CHECK(is_expired(policy, arrival, arrival + 48h));
    }
    settings.local_expire = 1h;
    CHECK(is_expired(retry_policy(settings, true), arrival, arrival + 1h));
    CHECK_FALSE(is_expired(retry_policy(settings, false), arrival, arrival + 1h));
}

TEST_CASE("of Badmail goes what is too old, then the oldest until the rest is little enough") {
    const TimePoint now{1'800'000'000s};
    folders::Badmail::Stock stock{4, 400, {}};
    std::uint64_t id = 0;
    for (const auto age : {40, 20, 10, 1})
        stock.oldest.push_back({MessageId(++id, 0), now - 24h * age, 100});

    struct Row {
        std::chrono::hours keep;
        std::uint64_t max_size, max_count;
        std::string goes;  ///< each by keep, size or number
    };
    for (const auto& row : {
             Row{0h, 0, 0, ""},
             Row{24h * 30, 0, 0, "k"},
             Row{24h * 40, 0, 0, "k"},
             Row{24h * 40 + 1h, 0, 0, ""},
             Row{1h, 0, 0, "kkkk"},
             Row{0h, 400, 0, ""},
             Row{0h, 399, 0, "s"},
             Row{0h, 200, 0, "ss"},
             Row{0h, 1, 0, "ssss"},
             Row{0h, 0, 4, ""},
             Row{0h, 0, 3, "n"},
             Row{0h, 0, 1, "nnn"},
             Row{24h * 30, 350, 2, "kn"},
             Row{24h * 30, 250, 1, "ksn"},
         }) {
        CAPTURE(row.keep.count());
        CAPTURE(row.max_size);
        CAPTURE(row.max_count);
        std::string goes;
        id = 0;
        for (const auto& going : what_goes({row.keep, row.max_size, row.max_count}, stock, now)) {
            CHECK(going.id == MessageId(++id, 0));
            goes += "ksn"[static_cast<int>(going.by)];
        }
        CHECK(goes == row.goes);
    }

    // Known by name are some alone, and the limits are for all.
    stock.oldest.resize(2);
    CHECK(what_goes({0h, 0, 1}, stock, now).size() == 2);
}

TEST_CASE("a sender is told after half a day, or never") {
    config::Settings::Delivery settings;
    const TimePoint arrival{1'800'000'000s};
    for (const bool local : {false, true}) {
        const auto policy = retry_policy(settings, local);
        CHECK_FALSE(is_late(policy, arrival, arrival + 12h - 1s));
        CHECK(is_late(policy, arrival, arrival + 12h));
    }
    settings.delay_notice = 0s;
    CHECK_FALSE(is_late(retry_policy(settings, false), arrival, arrival + 240h));
    CHECK(is_late(retry_policy(settings, true), arrival, arrival + 240h));
}

TEST_CASE("a sender is sent so many reports in a time") {
    ReportLimit limit;
    const Rate rate{2, 1h};
    const TimePoint now{1'800'000'000s};
    const Address ann{"ann", "a.example"};
    CHECK(limit.take(rate, ann, now));
    CHECK(limit.take(rate, {"Ann", "A.example"}, now + 30min));
    CHECK_FALSE(limit.take(rate, ann, now + 59min));
    CHECK(limit.take(rate, {"bob", "a.example"}, now + 59min));
    CHECK(limit.take(rate, ann, now + 60min));
    CHECK(limit.remembered() == 2);
    CHECK(limit.take(rate, {"cid", "a.example"}, now + 3h));
    CHECK(limit.remembered() == 1);
    // A clock that is set back shuts nobody out.
    CHECK(limit.take(rate, ann, now + 3h));
    CHECK(limit.take(rate, ann, now + 3h));
    CHECK(limit.take(rate, ann, now));
    for (int i = 0; i < 9; ++i) CHECK(limit.take({0, 1h}, ann, now));
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
