#include "delivery/schedule.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

const TimePoint k_now{1'800'000'000s};

/// A message that arrived so long before k_now.
MessageId aged(std::chrono::seconds age) {
    constexpr std::uint64_t k_ticks = 10'000'000;
    constexpr std::uint64_t k_epoch = 116'444'736'000'000'000;
    const auto since_epoch = (k_now - age).time_since_epoch() / 1s;
    return {k_epoch + static_cast<std::uint64_t>(since_epoch) * k_ticks, 0};
}

std::optional<MessageId> take(Schedule& schedule, Mail mail, TimePoint now) {
    const auto entry = schedule.take_due(mail, now);
    return entry ? std::optional(entry->id) : std::nullopt;
}

}  // namespace

TEST_CASE("the schedule gives what is due, earliest first, each once") {
    Schedule schedule(100);
    const MessageId a(1, 0), b(2, 0), c(3, 0);
    CHECK_FALSE(schedule.earliest());
    schedule.set(a, k_now + 2s);
    schedule.set(b, k_now + 1s);
    schedule.set(c, k_now + 9s);
    schedule.set(c, k_now);
    CHECK(schedule.size() == 3);
    CHECK(schedule.earliest() == k_now);
    CHECK(take(schedule, Mail::tried, k_now + 1s) == c);
    CHECK(take(schedule, Mail::tried, k_now + 1s) == b);
    CHECK_FALSE(take(schedule, Mail::tried, k_now + 1s));
    schedule.forget(a);
    CHECK(schedule.size() == 0);
}

TEST_CASE("new mail and mail that was tried are told apart by their time") {
    Schedule schedule(100);
    const auto fresh = aged(0s);
    const auto old = aged(15min);
    schedule.set(fresh, k_now);
    schedule.set(old, k_now);
    CHECK(take(schedule, Mail::untried, k_now) == fresh);
    CHECK(take(schedule, Mail::tried, k_now) == old);
    schedule.set(fresh, k_now);
    schedule.set(fresh, k_now + 15min);
    CHECK_FALSE(take(schedule, Mail::untried, k_now + 1h));
    CHECK(take(schedule, Mail::tried, k_now + 1h) == fresh);
}

TEST_CASE("of a large queue the schedule holds what is due soonest, and knows of the rest") {
    Schedule schedule(4);
    for (const int due : {9, 3, 7, 1, 8, 2}) {
        schedule.set(MessageId(static_cast<std::uint64_t>(due), 0),
                     k_now + std::chrono::seconds{due});
    }
    CHECK(schedule.size() == 4);
    CHECK_FALSE(schedule.look_needed());
    for (const std::uint64_t next : {1, 2})
        CHECK(take(schedule, Mail::tried, k_now + 1h) == MessageId(next, 0));
    CHECK(schedule.look_needed() == k_now + 8s);
    schedule.look_begins();
    CHECK_FALSE(schedule.look_needed());
}

TEST_CASE("however much old mail waits, new mail is held too") {
    Schedule schedule(4);
    for (std::uint64_t i = 0; i < 10; ++i) schedule.set(MessageId(i, 0), k_now - 1h);
    schedule.set(aged(0s), k_now);
    CHECK(take(schedule, Mail::untried, k_now) == aged(0s));
}

TEST_CASE("a destination that is known stays known, and a message may be due earlier") {
    Schedule schedule(4);
    const auto id = aged(1h);
    schedule.set(id, k_now + 1h, 7);
    schedule.set(id, k_now + 2h);
    CHECK(schedule.destination_of(id) == 7);
    CHECK(schedule.is_later(id, k_now));
    CHECK_FALSE(schedule.is_later(id, k_now + 2h));
    CHECK_FALSE(schedule.is_later(aged(2h), k_now));
}
