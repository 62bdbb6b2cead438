#include "smtp/reply_parser.hpp"

#include <algorithm>
#include <utility>

namespace mailroot::smtp {

namespace {

constexpr std::size_t k_max_line =
    2048;  // RFC 5321 4.5.3.1.5 says 512; some hosts explain at length
constexpr std::size_t k_max_lines = 100;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

tl::unexpected<Error> no_reply(const std::string& why) {
    return fail(Error::Kind::protocol, "the host broke SMTP: " + why);
}

/// Replies end in logs, reports and on terminals.
std::string without_controls(std::string_view text) {
    std::string shown(text);
    std::ranges::replace_if(shown, is_control, '?');
    return shown;
}

/// The code of a line, or 0 where it does not begin with one (RFC 5321 4.2.1: 2yz to 5yz).
int code_of(std::string_view line) {
    if (line.size() < 3 || line[0] < '2' || line[0] > '5') return 0;
    if (!is_digit(line[1]) || !is_digit(line[2])) return 0;
    if (line.size() > 3 && line[3] != ' ' && line[3] != '-') return 0;
    return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

/// One to three digits from `at` on; how many.
std::size_t digits(std::string_view text, std::size_t at) {
    std::size_t count = 0;
    while (at + count < text.size() && is_digit(text[at + count])) ++count;
    return count <= 3 ? count : 0;
}

/// The enhanced code at the beginning of `text`, empty where there is none of the class of `code`
/// (RFC 3463 2, RFC 2034 4).
std::string_view enhanced_code_of(std::string_view text, int code) {
    const char code_class = static_cast<char>('0' + code / 100);
    if (code_class == '3' || text.size() < 5 || text[0] != code_class || text[1] != '.') return {};
    const auto subject = digits(text, 2);
    if (subject == 0 || 2 + subject >= text.size() || text[2 + subject] != '.') return {};
    const auto detail = digits(text, 3 + subject);
    const auto length = 3 + subject + detail;
    if (detail == 0 || (length < text.size() && text[length] != ' ')) return {};
    return text.substr(0, length);
}

}  // namespace

Result<std::optional<Reply>> ReplyParser::next() {
    for (std::size_t end = pending_.find('\n'); end != std::string::npos;
         end = pending_.find('\n')) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        if (line.ends_with('\r')) line.pop_back();
        auto last = take_line(line);
        if (!last) return fail(std::move(last));
        if (*last) return std::exchange(reply_, Reply{});
    }
    if (pending_.size() > k_max_line + 1) return no_reply("a line without end");
    return std::nullopt;
}

/// Adds a line to the reply; gives whether it is the last.
Result<bool> ReplyParser::take_line(std::string_view line) {
    if (line.size() > k_max_line) return no_reply("a line too long");
    const int code = code_of(line);
    if (code == 0) return no_reply(without_controls(line.substr(0, 80)).append(" is no reply"));
    const bool first = reply_.lines.empty();
    if (!first && code != reply_.code) return no_reply("a reply of two codes");
    if (reply_.lines.size() == k_max_lines) return no_reply("a reply without end");

    auto text = line.substr(std::min<std::size_t>(4, line.size()));
    const auto enhanced = enhanced_code_of(text, code);
    if (first) {
        reply_.code = code;
        reply_.enhanced_code = enhanced;
    }
    if (!enhanced.empty() && enhanced == reply_.enhanced_code) {
        text.remove_prefix(std::min(enhanced.size() + 1, text.size()));
    }
    reply_.lines.push_back(without_controls(text));
    return line.size() == 3 || line[3] == ' ';
}

}  // namespace mailroot::smtp
