#include "config/forms.hpp"

#include "core/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace mailroot::config {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_alphanumeric(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_beyond_ascii(char c) {
    return static_cast<unsigned char>(c) >= 0x80;
}

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_label(std::string_view label) {
    constexpr std::size_t k_longest = 63;  // RFC 1035 2.3.4
    // Underscores stand in host names of real networks, Windows ones above all.
    return !label.empty() && label.size() <= k_longest && !label.starts_with('-') &&
           !label.ends_with('-') && std::ranges::all_of(label, [](char c) {
               return is_alphanumeric(c) || is_beyond_ascii(c) || c == '-' || c == '_';
           });
}

bool are_labels(std::string_view text) {
    constexpr std::size_t k_longest = 255;  // RFC 5321 4.5.3.1.2
    if (text.empty() || text.size() > k_longest || text.ends_with('.')) return false;
    while (!text.empty()) {
        if (!is_label(take_until(text, '.'))) return false;
    }
    return true;
}

bool is_ipv4(std::string_view text) {
    if (text.ends_with('.')) return false;
    int parts = 0;
    for (; !text.empty(); ++parts) {
        const auto part = take_until(text, '.');
        const auto value = number(part);
        if (!value || *value > 255 || part.size() > 3) return false;
    }
    return parts == 4;
}

bool is_ipv6(std::string_view text) {
    const auto address = take_until(text, '%');  // what follows is a zone: fe80::1%eth0
    return std::ranges::count(address, ':') >= 2 && std::ranges::all_of(address, [](char c) {
               return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
                      c == '.';
           });
}

/// `ADDRESS:PORT`, an IPv6 address in brackets.
bool is_endpoint(std::string_view text, std::uint32_t least_port) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return false;
    const auto host = text.substr(0, colon);
    const auto port = number(text.substr(colon + 1));
    if (!port || *port < least_port || *port > 65'535) return false;
    if (host.starts_with('[') && host.ends_with(']'))
        return is_ipv6(host.substr(1, host.size() - 2));
    return is_ipv4(host);
}

}  // namespace

bool is_domain(std::string_view text) {
    return are_labels(text) && std::ranges::none_of(text, is_beyond_ascii);
}

bool is_domain_pattern(std::string_view text) {
    if (text.starts_with("*.")) text.remove_prefix(2);
    return are_labels(text);
}

ListenEntry listen_entry(std::string_view text) {
    const auto address = take_until(text, ' ');
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return {address, text.empty() ? "starttls" : text};
}

bool is_listen_address(std::string_view text) {
    constexpr std::array k_words{"starttls", "required", "implicit", "none"};
    const auto entry = listen_entry(text);
    return is_endpoint(entry.address, 0) &&
           std::ranges::any_of(k_words, [&](auto word) { return entry.tls == word; });
}

SmartHost smart_host(std::string_view text) {
    const auto colon = text.rfind(':');
    const auto bracket = text.rfind(']');
    const bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    if (!has_port) return {text, 0};
    const auto port = number(text.substr(colon + 1)).value_or(0);
    return {text.substr(0, colon), static_cast<std::uint16_t>(port <= 65'535 ? port : 0)};
}

bool is_smart_host(std::string_view text) {
    const auto [host, port] = smart_host(text);
    if (host.size() != text.size() && port == 0) return false;
    if (!host.starts_with('[')) return is_domain(host);
    if (!host.ends_with(']')) return false;
    return is_address(host.substr(1, host.size() - 2));
}

bool is_address(std::string_view text) {
    return is_ipv4(text) || is_ipv6(text);
}

bool is_smart_host_or_empty(std::string_view text) {
    return text.empty() || is_smart_host(text);
}

bool is_tls_policy(std::string_view text) {
    return text == "none" || text == "may" || text == "encrypt" || text == "verify";
}

bool is_https_url(std::string_view text) {
    constexpr std::string_view k_scheme = "https://";
    if (!text.starts_with(k_scheme)) return false;
    const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
    text.remove_prefix(k_scheme.size());
    const auto host = take_until(text, '/');
    return plain && !host.empty() && host.find('@') == std::string_view::npos;
}

bool is_proxy(std::string_view text) {
    constexpr std::string_view k_scheme = "socks5://";
    if (!text.starts_with(k_scheme)) return false;
    text.remove_prefix(k_scheme.size());
    const auto [host, port] = smart_host(text);
    return is_endpoint(text, 1) || (is_domain(host) && port != 0);
}

bool is_network(std::string_view text) {
    const auto address = take_until(text, '/');
    if (text.empty()) return is_address(address);
    const auto prefix = number(text);
    return prefix && ((is_ipv4(address) && *prefix <= 32) || (is_ipv6(address) && *prefix <= 128));
}

bool is_server_address(std::string_view text) {
    return is_address(text) || is_endpoint(text, 1);
}

}  // namespace mailroot::config
