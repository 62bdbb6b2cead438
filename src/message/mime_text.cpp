#include "message/mime_text.hpp"

#include <algorithm>
#include <cstdint>

namespace mailroot::message {

namespace {

constexpr std::size_t k_line = 76;               // RFC 2045 6.7, RFC 2047 2
constexpr std::size_t k_encoded_word = 75;       // RFC 2047 2
constexpr std::size_t k_longest_character = 12;  // four octets in Q
constexpr std::string_view k_b_start = "=?utf-8?B?";
constexpr std::string_view k_q_start = "=?utf-8?Q?";
constexpr std::string_view k_word_end = "?=";

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void append_hex(std::string& out, char c) {
    constexpr std::string_view k_digits = "0123456789ABCDEF";
    const auto octet = static_cast<unsigned char>(c);
    out += '=';
    out += k_digits[octet >> 4];
    out += k_digits[octet & 0x0f];
}

std::string base64(std::string_view octets) {
    constexpr std::string_view k_digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < octets.size(); i += 3) {
        const auto group = octets.substr(i, 3);
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 3; ++j)
            bits = bits << 8 | (j < group.size() ? static_cast<unsigned char>(group[j]) : 0u);
        for (std::size_t j = 0; j < 4; ++j)
            text += j <= group.size() ? k_digits[bits >> (18 - 6 * j) & 0x3f] : '=';
    }
    return text;
}

/// The Q encoding as a phrase may hold it (RFC 2047 5 rule 3), the strictest of its places.
std::string q_encoded(std::string_view octets) {
    std::string text;
    for (const char c : octets) {
        if (c == ' ') {
            text += '_';
        } else if (is_alphanumeric(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/') {
            text += c;
        } else {
            append_hex(text, c);
        }
    }
    return text;
}

/// The octets of the character at the start of `text`; what is no UTF-8 counts as one octet.
std::size_t character_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    std::size_t octets = 1;
    while (octets < std::min(length, text.size()) &&
           (static_cast<unsigned char>(text[octets]) & 0xc0) == 0x80)
        ++octets;
    return octets;
}

/// The longest start of `text` that `encode` fits into `room` octets, but at least one character.
template <class Encode>
std::size_t fitting(std::string_view text, std::size_t room, Encode encode) {
    std::size_t taken = character_length(text);
    while (taken < text.size()) {
        const std::size_t next = taken + character_length(text.substr(taken));
        if (encode(text.substr(0, next)).size() > room) break;
        taken = next;
    }
    return taken;
}

/// Appends a line without its end, with soft breaks.
void append_quoted_line(std::string& out, std::string_view line) {
    std::size_t column = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        const bool last = i + 1 == line.size();
        const bool blank = c == ' ' || c == '\t';
        // RFC 2045 6.7 rule 3: a blank at the end of a line would be lost on the way.
        const bool plain = blank ? !last : c > ' ' && c < 0x7f && c != '=';
        const std::size_t width = plain ? 1 : 3;
        if (column + width > (last ? k_line : k_line - 1)) {
            out += "=\r\n";
            column = 0;
        }
        if (plain)
            out += c;
        else
            append_hex(out, c);
        column += width;
    }
}

}  // namespace

std::string on_one_line(std::string_view text) {
    std::string line(text);
    std::ranges::replace_if(
        line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    return line;
}

std::string wrapped(std::string_view text, std::size_t column, std::string_view line_break) {
    const std::size_t indent = line_break.size() - (line_break.rfind('\n') + 1);
    std::string out;
    while (!text.empty()) {
        // A word goes with the blanks before it, so that no line is made of blanks alone.
        const std::size_t word = std::min(text.find_first_not_of(' '), text.size());
        const std::size_t end = std::min(text.find(' ', word), text.size());
        if (word > 0 && word < end && !out.empty() && column + end > k_line) {
            out += line_break;
            text.remove_prefix(1);
            column = indent;
            out += text.substr(0, end - 1);
            column += end - 1;
            text.remove_prefix(end - 1);
        } else {
            out += text.substr(0, end);
            column += end;
            text.remove_prefix(end);
        }
    }
    return out;
}

std::string encoded_words(std::string_view text, std::size_t column) {
    const bool b = base64(text).size() < q_encoded(text).size();
    const auto encode = [b](std::string_view part) { return b ? base64(part) : q_encoded(part); };
    constexpr std::size_t k_frame = k_b_start.size() + k_word_end.size();
    std::string words;
    if (column + k_frame + k_longest_character > k_line) {
        words = "\r\n ";
        column = 1;
    }
    while (!text.empty()) {
        const std::size_t room = std::min(k_encoded_word, k_line - column) - k_frame;
        const std::size_t taken = fitting(text, room, encode);
        words += b ? k_b_start : k_q_start;
        words += encode(text.substr(0, taken));
        words += k_word_end;
        text.remove_prefix(taken);
        words += text.empty() ? "" : "\r\n ";
        column = 1;
    }
    return words;
}

std::string Base64Lines::feed(std::string_view octets) {
    constexpr std::size_t k_octets_of_line = k_line / 4 * 3;
    pending_ += octets;
    std::string lines;
    std::size_t taken = 0;
    for (; pending_.size() - taken >= k_octets_of_line; taken += k_octets_of_line)
        lines += base64(std::string_view(pending_).substr(taken, k_octets_of_line)) + "\r\n";
    pending_.erase(0, taken);
    return lines;
}

std::string Base64Lines::finish() {
    return pending_.empty() ? "" : base64(pending_) + "\r\n";
}

std::string quoted_printable(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        append_quoted_line(out, text.substr(0, end));
        if (end == text.size()) break;
        out += "\r\n";
        text.remove_prefix(end + 2);
    }
    return out;
}

}  // namespace mailroot::message
