#include "smtp/redact.hpp"

#include "core/text.hpp"
#include "smtp/base64.hpp"

#include <curl/curl.h>

#include <memory>

namespace mailroot::smtp {

namespace {

constexpr std::string_view k_base64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

/// As a form has it, decoded.
std::string unescaped(std::string_view word) {
    int length = 0;
    const std::unique_ptr<char, void (*)(void*)> text(
        curl_easy_unescape(nullptr, word.data(), static_cast<int>(word.size()), &length),
        &curl_free);
    return text ? std::string(text.get(), static_cast<std::size_t>(length)) : std::string();
}

bool holds_in_base64(std::string_view word, std::string_view secret) {
    while (!word.empty()) {
        const auto begin = word.find_first_of(k_base64);
        if (begin == std::string_view::npos) return false;
        word.remove_prefix(begin);
        const auto run = word.substr(0, word.find_first_not_of(k_base64));
        const auto decoded = decode_base64(run);
        if (decoded && decoded->find(secret) != std::string::npos) return true;
        word.remove_prefix(run.size());
    }
    return false;
}

}  // namespace

std::string redacted(std::string text, std::string_view secret) {
    if (secret.empty()) return text;
    text = without(std::move(text), secret);
    std::string clean;
    for (std::string_view rest = text; !rest.empty();) {
        const auto word = rest.substr(0, rest.find_first_of(k_blanks));
        rest.remove_prefix(word.size());
        const bool repeats =
            unescaped(word).find(secret) != std::string::npos || holds_in_base64(word, secret);
        clean += repeats ? "..." : word;
        const auto blanks = rest.substr(0, rest.find_first_not_of(k_blanks));
        clean += blanks;
        rest.remove_prefix(blanks.size());
    }
    return clean;
}

}  // namespace mailroot::smtp
