#include "core/reply.hpp"

namespace mailroot {

namespace {

std::string prefix(const Reply& reply, char separator) {
    std::string text = std::to_string(reply.code) + separator;
    if (!reply.enhanced_code.empty()) text += reply.enhanced_code + ' ';
    return text;
}

}  // namespace

std::string Reply::text() const {
    std::string text = code == 0 ? "" : prefix(*this, ' ');
    for (const auto& line : lines) {
        if (&line != &lines.front()) text += ' ';
        text += line;
    }
    return text;
}

std::string Reply::wire() const {
    if (lines.empty()) return prefix(*this, ' ') + "\r\n";
    std::string octets;
    for (const auto& line : lines) {
        octets += prefix(*this, &line == &lines.back() ? ' ' : '-') + line + "\r\n";
    }
    return octets;
}

Reply reply(int code, std::string_view enhanced_code, std::string text) {
    return Reply{code, std::string(enhanced_code), {std::move(text)}};
}

}  // namespace mailroot
