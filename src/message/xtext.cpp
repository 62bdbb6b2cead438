#include "message/xtext.hpp"

#include "message/utf8.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <unistr.h>

namespace mailroot::message {

namespace {

std::optional<char> from_hex(std::string_view digits) {
    constexpr std::string_view k_digits = "0123456789ABCDEF";
    if (digits.size() != 2) return std::nullopt;
    const std::size_t high = k_digits.find(digits[0]);
    const std::size_t low = k_digits.find(digits[1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    return static_cast<char>(high * 16 + low);
}

/// RFC 6533 3: QCHAR.
bool stands_for_itself(ucs4_t character) {
    return character > ' ' && character < 0x7f && character != '\\' && character != '+' &&
           character != '=';
}

std::string escape(ucs4_t character) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "\\x{%02lX}", static_cast<unsigned long>(character));
    return text.data();
}

/// Takes `\x{HEX}` off the start of `text` and gives the character's octets.
std::optional<std::string> take_escape(std::string_view& text) {
    constexpr std::string_view k_start = "\\x{";
    const std::size_t end = text.find('}');
    if (!text.starts_with(k_start) || end == std::string_view::npos) return std::nullopt;
    ucs4_t character = 0;
    const char* const last = text.data() + end;
    const auto [stop, error] = std::from_chars(text.data() + k_start.size(), last, character, 16);
    if (stop != last || error != std::errc{}) return std::nullopt;
    std::array<std::uint8_t, 6> octets{};
    const int length = u8_uctomb(octets.data(), character, octets.size());
    if (length <= 0) return std::nullopt;
    text.remove_prefix(end + 1);
    return std::string(octets.begin(), octets.begin() + length);
}

}  // namespace

std::string xtext_decoded(std::string_view xtext) {
    std::string text;
    for (std::size_t i = 0; i < xtext.size(); ++i) {
        const auto octet = xtext[i] == '+' ? from_hex(xtext.substr(i + 1, 2)) : std::nullopt;
        text += octet.value_or(xtext[i]);
        if (octet) i += 2;
    }
    return text;
}

std::string utf8_xtext(std::string_view address) {
    std::string text;
    while (!address.empty()) {
        ucs4_t character = 0;
        const int length = u8_mbtouc(
            &character, reinterpret_cast<const std::uint8_t*>(address.data()), address.size());
        if (stands_for_itself(character)) {
            text += static_cast<char>(character);
        } else {
            text += escape(character);
        }
        address.remove_prefix(static_cast<std::size_t>(length));
    }
    return text;
}

std::optional<std::string> utf8_xtext_decoded(std::string_view text) {
    // A `+` cannot stand for itself: whoever writes one has written xtext.
    const std::string octets = xtext_decoded(text);
    std::string address;
    for (std::string_view rest = octets; !rest.empty();) {
        if (rest.front() == '\\') {
            const auto character = take_escape(rest);
            if (!character) return std::nullopt;
            address += *character;
        } else {
            address += rest.front();
            rest.remove_prefix(1);
        }
    }
    if (!is_utf8(address)) return std::nullopt;
    return address;
}

}  // namespace mailroot::message
