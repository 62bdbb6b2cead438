#include "delivery/dispatcher.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

const TimePoint k_now{1'800'000'000s};
const Dispatcher::Time k_steady{1h};
constexpr DestinationNumber k_host = 7;
constexpr DestinationNumber k_other = 8;

/// The `number`th message of those that came an hour ago.
MessageId old_mail(std::uint64_t number) {
    constexpr std::uint64_t k_hour_ago = 116'444'736'000'000'000 + 1'799'996'400ull * 10'000'000;
    return {k_hour_ago + number, 0};
}

MessageId new_mail(std::uint64_t number) {
    constexpr std::uint64_t k_just_now = 116'444'736'000'000'000 + 1'800'000'000ull * 10'000'000;
    return {k_just_now + number, 0};
}

std::optional<Dispatcher::Attempt> next_attempt(Dispatcher& dispatcher) {
    auto next = dispatcher.next(k_now, k_steady, k_now - 48h);
    const auto* attempt = std::get_if<Dispatcher::Attempt>(&next);
    return attempt == nullptr ? std::nullopt : std::optional(*attempt);
}

/// All that is to be attempted now, without an end of any.
std::vector<MessageId> all_attempts(Dispatcher& dispatcher) {
    std::vector<MessageId> ids;
    while (const auto attempt = next_attempt(dispatcher)) ids.push_back(attempt->id);
    return ids;
}

}  // namespace

TEST_CASE("what is due is attempted once, what is not waits") {
    Dispatcher dispatcher(100);
    dispatcher.waits(old_mail(1), k_now);
    dispatcher.waits(old_mail(2), k_now + 1s);
    CHECK(all_attempts(dispatcher) == std::vector{old_mail(1)});
    CHECK(dispatcher.next_due(k_now) == k_now + 1s);
}

TEST_CASE("a message in line is not put in line again by a look at the folder") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {0, {}});
    dispatcher.waits(old_mail(1), k_now, k_host);
    CHECK(all_attempts(dispatcher).empty());
    dispatcher.found(old_mail(1), k_now, k_now);
    dispatcher.room(k_host, {9, {}});
    CHECK(all_attempts(dispatcher) == std::vector{old_mail(1)});
}

TEST_CASE("a destination has no more in hand than it has room for, and others go on") {
    Dispatcher dispatcher(100);
    for (std::uint64_t i = 0; i < 5; ++i) dispatcher.waits(old_mail(i), k_now, k_host);
    dispatcher.waits(old_mail(9), k_now + 0s, k_other);
    dispatcher.waits(old_mail(8), k_now, 0);
    const auto first = all_attempts(dispatcher);
    CHECK(first.size() == 5);  // three of a stranger, the other's, and the unknown one
    dispatcher.done(k_host);
    CHECK(all_attempts(dispatcher).size() == 1);
    dispatcher.room(k_host, {40, {}});
    CHECK(all_attempts(dispatcher).size() == 1);
}

TEST_CASE("destinations take turns") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {40, {}});
    for (std::uint64_t i = 0; i < 10; ++i) dispatcher.waits(old_mail(i), k_now, k_host);
    dispatcher.waits(old_mail(20), k_now, k_other);
    const auto ids = all_attempts(dispatcher);
    REQUIRE(ids.size() == 11);
    CHECK((ids[0] == old_mail(20) || ids[1] == old_mail(20)));
}

TEST_CASE("new mail and old mail of one destination take turns") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {100, {}});
    for (std::uint64_t i = 0; i < 3; ++i) {
        dispatcher.waits(old_mail(i), k_now - 1min, k_host);
        dispatcher.waits(new_mail(i), k_now, k_host);
    }
    const std::vector expected{new_mail(0), old_mail(0), new_mail(1),
                               old_mail(1), new_mail(2), old_mail(2)};
    CHECK(all_attempts(dispatcher) == expected);
}

TEST_CASE("however many of one destination wait, those of another get into line") {
    Dispatcher dispatcher(10);
    for (std::uint64_t i = 0; i < 20; ++i) dispatcher.waits(new_mail(i), k_now, k_host);
    CHECK(all_attempts(dispatcher).size() == 3);
    dispatcher.waits(old_mail(1), k_now, k_other);
    CHECK(all_attempts(dispatcher) == std::vector{old_mail(1)});
}

TEST_CASE("mail for a dead destination is put off together") {
    Dispatcher dispatcher(1000);
    for (std::uint64_t i = 0; i < 700; ++i) dispatcher.waits(old_mail(i), k_now, k_host);
    dispatcher.waits(old_mail(800), k_now, k_other);
    dispatcher.room(k_host, {2, k_steady + 15min});
    std::size_t put_off = 0;
    std::size_t attempted = 0;
    for (;;) {
        auto next = dispatcher.next(k_now, k_steady, k_now - 48h);
        if (std::holds_alternative<std::monostate>(next)) break;
        if (const auto* order = std::get_if<Dispatcher::PutOff>(&next)) {
            CHECK(order->destination == k_host);
            put_off += order->ids.size();
        } else {
            ++attempted;
        }
    }
    CHECK(put_off == 700);
    CHECK(attempted == 1);
}

TEST_CASE("where nobody can be reached, what is too old is attempted all the same") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {2, k_steady + 15min});
    dispatcher.waits(old_mail(1), k_now, k_host);
    auto next = dispatcher.next(k_now, k_steady, k_now - 30min);
    REQUIRE(std::holds_alternative<Dispatcher::Attempt>(next));
    CHECK(std::get<Dispatcher::Attempt>(next).id == old_mail(1));
}

TEST_CASE("once it is over, one place is tried and the others wait") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {2, k_steady});
    for (std::uint64_t i = 0; i < 5; ++i) dispatcher.waits(old_mail(i), k_now, k_host);
    CHECK(all_attempts(dispatcher).size() == 2);
}

TEST_CASE("what somebody makes due is asked for, and one such attempt is made") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {2, k_steady + 15min});
    for (std::uint64_t i = 0; i < 3; ++i) {
        dispatcher.waits(old_mail(i), k_now + 1h, k_host);
        dispatcher.found(old_mail(i), k_now, k_now);
    }
    const auto attempt = next_attempt(dispatcher);
    REQUIRE(attempt);
    CHECK(attempt->asked_for);
    // The probe failed.
    dispatcher.room(k_host, {2, k_steady + 30min});
    auto next = dispatcher.next(k_now, k_steady, k_now - 48h);
    REQUIRE(std::holds_alternative<Dispatcher::PutOff>(next));
    CHECK(std::get<Dispatcher::PutOff>(next).ids.size() == 2);
}

TEST_CASE("a place is had as long as there is room, or nobody to wait for") {
    Dispatcher dispatcher(100);
    for (int i = 0; i < 3; ++i) CHECK(dispatcher.take_place(k_host, k_steady));
    CHECK_FALSE(dispatcher.take_place(k_host, k_steady));
    for (int i = 0; i < 9; ++i) CHECK(dispatcher.take_place(0, k_steady));
    dispatcher.room(k_host, {2, k_steady + 1s});
    CHECK(dispatcher.take_place(k_host, k_steady));
    for (int i = 0; i < 4; ++i) dispatcher.done(k_host);
    dispatcher.room(k_host, Dispatcher::Room{});
    CHECK(dispatcher.take_place(k_host, k_steady));
}

TEST_CASE("the number of a destination tells it apart, and none has none") {
    CHECK(number_of("") == 0);
    CHECK(number_of("may 25 192.0.2.1") != number_of("may 25 192.0.2.2"));
}

TEST_CASE("where nobody can be reached and no place is free, what is too old waits for one") {
    Dispatcher dispatcher(100);
    dispatcher.room(k_host, {2, k_steady + 15min});
    for (std::uint64_t i = 0; i < 3; ++i) dispatcher.waits(old_mail(i), k_now, k_host);
    for (int i = 0; i < 2; ++i)
        CHECK(std::holds_alternative<Dispatcher::Attempt>(
            dispatcher.next(k_now, k_steady, k_now - 30min)));
    CHECK(std::holds_alternative<std::monostate>(dispatcher.next(k_now, k_steady, k_now - 30min)));
    dispatcher.done(k_host);
    CHECK(std::holds_alternative<Dispatcher::Attempt>(
        dispatcher.next(k_now, k_steady, k_now - 30min)));
}

TEST_CASE("many in hand of some leave each other destination what keeps it busy") {
    Dispatcher dispatcher(10'000);
    for (DestinationNumber host = 10; host < 30; ++host) {
        dispatcher.room(host, {60, {}});
        for (std::uint64_t i = 0; i < 60; ++i)
            dispatcher.waits(old_mail(host * 100 + i), k_now, host);
    }
    const auto ids = all_attempts(dispatcher);
    CHECK(ids.size() == 500);
    dispatcher.waits(new_mail(1), k_now, k_other);
    CHECK(all_attempts(dispatcher) == std::vector{new_mail(1)});
    dispatcher.done(10);
    dispatcher.done(11);
    CHECK(all_attempts(dispatcher).size() == 1);
}

TEST_CASE("a line is not longer than others can bear") {
    Dispatcher dispatcher(8000);
    for (std::uint64_t i = 0; i < 8000; ++i) dispatcher.waits(old_mail(i), k_now - 1s, k_host);
    CHECK(all_attempts(dispatcher).size() == 3);
    dispatcher.waits(old_mail(9000), k_now, k_other);
    CHECK(all_attempts(dispatcher) == std::vector{old_mail(9000)});
    CHECK(dispatcher.next_due(k_now) == k_now + 2s);
}
