#include "core/quantity.hpp"

#include "core/address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

namespace mailroot {

namespace {

struct Unit {
    std::string_view name;
    std::int64_t milliseconds;
};

constexpr std::array k_units{
    Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1'000}, Unit{"ms", 1},
};

constexpr std::array k_rate_units{
    Unit{"s", 1'000},
    Unit{"min", 60'000},
    Unit{"h", 3'600'000},
    Unit{"d", 86'400'000},
};

struct Magnitude {
    char letter;
    std::uint64_t octets;
};

constexpr std::array k_magnitudes{
    Magnitude{'T', 1ull << 40},
    Magnitude{'G', 1ull << 30},
    Magnitude{'M', 1ull << 20},
    Magnitude{'K', 1ull << 10},
};

/// Takes the number at the start of `text` off it.
bool take_number(std::string_view& text, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

const Unit* take_unit(std::string_view& text) {
    const std::size_t length = std::min(text.find_first_of("0123456789"), text.size());
    for (const auto& unit : k_units) {
        if (unit.name != text.substr(0, length)) continue;
        text.remove_prefix(length);
        return &unit;
    }
    return nullptr;
}

std::string spelled(std::int64_t left, std::size_t most_units) {
    std::string text;
    for (const auto& unit : k_units) {
        if (left < unit.milliseconds || most_units == 0) {
            // "2d 5s" is no use to people: the second unit shown is the one next to the first.
            if (!text.empty() && most_units != std::string::npos) break;
            continue;
        }
        text += std::to_string(left / unit.milliseconds);
        text += unit.name;
        left %= unit.milliseconds;
        if (most_units != std::string::npos) --most_units;
    }
    return text.empty() ? "0s" : text;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const auto refused = [whole = std::string(text)] {
        return fail(Error::Kind::parse,
                    "'" + whole + "' is no duration such as 90s, 15m, 4h or 2d");
    };
    constexpr auto k_most =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 4);
    std::uint64_t total = 0;
    if (text.empty()) return refused();
    while (!text.empty()) {
        std::uint64_t number = 0;
        if (!take_number(text, number)) return refused();
        const Unit* unit = take_unit(text);
        if (unit == nullptr) return refused();
        if (number > k_most / static_cast<std::uint64_t>(unit->milliseconds)) return refused();
        total += number * static_cast<std::uint64_t>(unit->milliseconds);
        if (total > k_most) return refused();
    }
    return std::chrono::milliseconds{static_cast<std::int64_t>(total)};
}

std::string duration_text(std::chrono::milliseconds duration) {
    return spelled(duration.count(), std::string::npos);
}

std::string age_text(std::chrono::milliseconds age) {
    return spelled(std::chrono::floor<std::chrono::seconds>(age).count() * 1'000, 2);
}

Result<std::uint64_t> parse_size(std::string_view text) {
    const auto refused = [whole = std::string(text)] {
        return fail(Error::Kind::parse, "'" + whole + "' is no size such as 2048K, 32M or 1G");
    };
    std::uint64_t number = 0;
    if (!take_number(text, number)) return refused();
    std::uint64_t factor = 1;
    for (const auto& magnitude : k_magnitudes) {
        if (text.empty() ||
            lower_case(text.substr(0, 1))[0] != lower_case({&magnitude.letter, 1})[0])
            continue;
        factor = magnitude.octets;
        text.remove_prefix(1);
        if (text.starts_with('i')) text.remove_prefix(1);
        break;
    }
    if (text == "B") text.remove_prefix(1);
    if (!text.empty() || number > std::numeric_limits<std::uint64_t>::max() / factor)
        return refused();
    return number * factor;
}

std::string size_text(std::uint64_t octets) {
    for (const auto& magnitude : k_magnitudes) {
        if (octets != 0 && octets % magnitude.octets == 0)
            return std::to_string(octets / magnitude.octets) + magnitude.letter;
    }
    return std::to_string(octets);
}

std::string short_size_text(std::uint64_t octets) {
    for (const auto& magnitude : k_magnitudes) {
        if (octets < magnitude.octets) continue;
        const double value = static_cast<double>(octets) / static_cast<double>(magnitude.octets);
        char text[32];
        std::snprintf(text, sizeof text, "%.*f%c",
                      value < 10    ? 2
                      : value < 100 ? 1
                                    : 0,
                      value, magnitude.letter);
        return text;
    }
    return std::to_string(octets);
}

Result<Rate> parse_rate(std::string_view text) {
    std::string_view rest = text;
    Rate rate;
    if (take_number(rest, rate.count) && rest.starts_with('/')) {
        const auto unit = std::ranges::find(k_rate_units, rest.substr(1), &Unit::name);
        if (unit != k_rate_units.end()) {
            rate.per = std::chrono::milliseconds{unit->milliseconds};
            return rate;
        }
    }
    return fail(Error::Kind::parse,
                "'" + std::string(text) + "' is no rate such as 10/s, 100/min, 200/h or 1000/d");
}

std::string rate_text(const Rate& rate) {
    const auto unit = std::ranges::find(k_rate_units, rate.per.count(), &Unit::milliseconds);
    return std::to_string(rate.count) + '/' + std::string(unit->name);
}

}  // namespace mailroot
