#include "core/text.hpp"

#include <algorithm>

namespace mailroot {

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(k_blanks), text.size()));
    return text.substr(0, text.find_last_not_of(k_blanks) + 1);
}

std::string unquoted(std::string_view text) {
    if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return std::string(text);
    std::string plain;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] == '\\' && i + 2 < text.size()) ++i;
        plain += text[i];
    }
    return plain;
}

std::string_view take_until(std::string_view& text, char separator) {
    const auto part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    return part;
}

std::string without(std::string text, std::string_view secret) {
    constexpr std::string_view k_instead = "...";
    for (std::size_t at = 0; !secret.empty(); at += k_instead.size()) {
        at = text.find(secret, at);
        if (at == std::string::npos) break;
        text.replace(at, secret.size(), k_instead);
    }
    return text;
}

}  // namespace mailroot
