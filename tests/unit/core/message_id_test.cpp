#include "core/message_id.hpp"

#include <doctest/doctest.h>

using namespace mailroot;

namespace {

struct FixedClock final : Clock {
    TimePoint time;
    [[nodiscard]] TimePoint now() const override { return time; }
};

}  // namespace

TEST_CASE("an id holds its arrival as FILETIME") {
    // The decoded sample of IIS-SMTP.md section 2: 0x01d0b89c15ed4609 is 2015-07-07 10:02:51.6 UTC.
    const auto id = MessageId::parse("01d0b89c15ed460900000008");
    REQUIRE(id);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(id->arrival());
    CHECK(seconds.time_since_epoch().count() == 1'436'263'371);
}

TEST_CASE("ids increase while the clock stands still or is set back") {
    FixedClock clock;
    clock.time = TimePoint{std::chrono::seconds{1'800'000'000}};
    MessageIdSource source(clock, 0xdeadbeef);
    const auto first = source.next();
    const auto second = source.next();
    clock.time -= std::chrono::hours{1};
    const auto third = source.next();
    CHECK(first.text().ends_with("deadbeef"));
    CHECK(first.arrival() == clock.time + std::chrono::hours{1});
    CHECK(first < second);
    CHECK(second < third);
}

TEST_CASE("only 24 lowercase hex digits are an id") {
    CHECK(MessageId::parse("0123456789abcdef01234567"));
    CHECK_FALSE(MessageId::parse("0123456789ABCDEF01234567"));
    CHECK_FALSE(MessageId::parse("0123456789abcdef0123456"));
    CHECK_FALSE(MessageId::parse("0123456789abcdef0123456g"));
    CHECK_FALSE(MessageId::parse(""));
    const auto latest = MessageId::parse("ffffffffffffffffffffffff")->arrival();
    const auto earliest = MessageId::parse("000000000000000000000000")->arrival();
    CHECK(latest > TimePoint{});
    CHECK(earliest < TimePoint{});
    CHECK(std::chrono::system_clock::now() - earliest > std::chrono::hours{24} * 365 * 100);
}
