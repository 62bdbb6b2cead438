#pragma once

#include "core/result.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace mailroot {

/// `90s`, `15m`, `4h`, `2d`, `500ms`, or a sum of them such as `1h30m`. A bare number is refused:
/// its unit would be a guess. Kind::parse names the text.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest exact spelling parse_duration reads back: `15m`, `1h30m`, `0s`.
[[nodiscard]] std::string duration_text(std::chrono::milliseconds duration);

/// For people: the two largest units, `3h12m`, `2d4h`, `45s`.
[[nodiscard]] std::string age_text(std::chrono::milliseconds age);

/// Octets: `2097152`, `2048K`, `32M`, `1G` (powers of 1024; a following `iB` or `B` is let
/// through).
Result<std::uint64_t> parse_size(std::string_view text);

/// The shortest exact spelling parse_size reads back: `32M`, `2048`.
[[nodiscard]] std::string size_text(std::uint64_t octets);

/// How often something may happen: so many times in a time.
struct Rate {
    std::uint64_t count = 0;
    std::chrono::milliseconds per{0};

    friend bool operator==(const Rate&, const Rate&) = default;
};

/// `COUNT/UNIT`, such as `200/h`; the unit is `s`, `min`, `h` or `d`. Kind::parse names the text.
Result<Rate> parse_rate(std::string_view text);

/// The spelling parse_rate reads back, of a rate that it gave.
[[nodiscard]] std::string rate_text(const Rate& rate);

/// For people: three significant digits, `14.2K`, `312`, `1.05G`.
[[nodiscard]] std::string short_size_text(std::uint64_t octets);

}  // namespace mailroot
