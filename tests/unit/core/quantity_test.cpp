#include "core/quantity.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;
using namespace std::chrono_literals;

TEST_CASE("a duration is read, and spelled as shortly as it can be read again") {
    struct Row {
        std::string text;
        std::chrono::milliseconds value;
        std::string spelled;
    };
    const Row rows[] = {
        {"90s", 90s, "1m30s"}, {"15m", 15min, "15m"},       {"4h", 4h, "4h"},
        {"48h", 48h, "2d"},    {"500ms", 500ms, "500ms"},   {"1h30m", 90min, "1h30m"},
        {"0s", 0s, "0s"},      {"1d0h5s", 86'405s, "1d5s"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto value = parse_duration(row.text);
        REQUIRE(value);
        CHECK(*value == row.value);
        CHECK(duration_text(*value) == row.spelled);
        CHECK(*parse_duration(row.spelled) == row.value);
    }
    for (const auto* text : {"", "15", "m", "-5m", "5 m", "1.5h", "5x", "99999999999999999999s",
                             "9999999999999999d"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text));
    }
}

TEST_CASE("an age shows its two largest units") {
    CHECK(age_text(3h + 12min + 9s) == "3h12m");
    CHECK(age_text(52h) == "2d4h");
    CHECK(age_text(48h + 5s) == "2d");
    CHECK(age_text(45s + 900ms) == "45s");
    CHECK(age_text(10ms) == "0s");
}

TEST_CASE("a size is read, and spelled as shortly as it can be read again") {
    struct Row {
        std::string text;
        std::uint64_t value;
        std::string spelled;
    };
    const Row rows[] = {
        {"2048K", 2u << 20, "2M"},
        {"32M", 32u << 20, "32M"},
        {"1GiB", 1u << 30, "1G"},
        {"100", 100, "100"},
        {"512B", 512, "512"},
        {"3k", 3072, "3K"},
        {"0", 0, "0"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto value = parse_size(row.text);
        REQUIRE(value);
        CHECK(*value == row.value);
        CHECK(size_text(*value) == row.spelled);
    }
    for (const auto* text : {"", "K", "-1", "1X", "1KK", "99999999999T"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_size(text));
    }
}

TEST_CASE("a size for people has three digits") {
    CHECK(short_size_text(312) == "312");
    CHECK(short_size_text(14'541) == "14.2K");
    CHECK(short_size_text(1'127'428'915) == "1.05G");
    CHECK(short_size_text(500u << 10) == "500K");
}

TEST_CASE("a rate is a number in a second, a minute, an hour or a day") {
    struct Row {
        std::string text;
        Rate value;
    };
    for (const auto& row :
         {Row{"10/s", {10, 1s}}, Row{"100/min", {100, 1min}}, Row{"200/h", {200, 1h}},
          Row{"0/d", {0, 24h}}, Row{"1000/d", {1000, 24h}}}) {
        CAPTURE(row.text);
        const auto value = parse_rate(row.text);
        REQUIRE(value);
        CHECK(*value == row.value);
        CHECK(rate_text(*value) == row.text);
    }
    for (const auto* text : {"", "10", "10/", "/h", "-1/h", "10/m", "10/2h", "10 /h", "10/h "}) {
        CAPTURE(text);
        CHECK_FALSE(parse_rate(text));
    }
    CHECK(parse_rate("10/x").error().what ==
          "'10/x' is no rate such as 10/s, 100/min, 200/h or 1000/d");
}
