#include "core/address.hpp"

#include <algorithm>
#include <cstddef>

namespace mailroot {

namespace {

constexpr std::size_t k_max_local_part = 64;  // RFC 5321 4.5.3.1.1
constexpr std::size_t k_max_domain = 255;     // RFC 5321 4.5.3.1.2

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}

bool is_beyond_ascii(char c) {
    return static_cast<unsigned char>(c) >= 0x80;
}

/// atext of RFC 5322 3.2.3, with UTF-8 as RFC 6531 3.3 adds it.
bool is_atext(char c) {
    return is_alphanumeric(c) || is_beyond_ascii(c) ||
           std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

tl::unexpected<Error> bad(std::string what, std::string_view text) {
    std::string shown;
    for (const char c : text) shown += is_control(c) ? '?' : c;
    return fail(Error::Kind::parse, what + ": '" + shown + "'");
}

/// The octets of the local part at the start of `text`, or 0 where there is none.
std::size_t local_part_length(std::string_view text) {
    if (!text.starts_with('"')) {
        // Dots anywhere: RFC 5321 allows them between atoms alone, but phones have registered
        // `a..b@`.
        const auto end =
            std::ranges::find_if(text, [](char c) { return !is_atext(c) && c != '.'; });
        return static_cast<std::size_t>(end - text.begin());
    }
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            if (is_control(text[++i])) return 0;
        } else if (text[i] == '"') {
            return i + 1;
        } else if (is_control(text[i])) {
            return 0;
        }
    }
    return 0;
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]`: the octets up to the bracket, or 0 where it is none.
std::size_t literal_length(std::string_view text) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 2) return 0;
    const auto inside = text.substr(1, end - 1);
    const bool legal = std::ranges::all_of(
        inside, [](char c) { return is_alphanumeric(c) || c == '.' || c == ':' || c == '-'; });
    return legal ? end + 1 : 0;
}

std::size_t domain_length(std::string_view text) {
    if (text.starts_with('[')) return literal_length(text);
    // Underscores stand in host names of real networks, Windows ones above all.
    const auto end = std::ranges::find_if(text, [](char c) {
        return !is_alphanumeric(c) && !is_beyond_ascii(c) && c != '-' && c != '.' && c != '_';
    });
    return static_cast<std::size_t>(end - text.begin());
}

bool has_empty_label(std::string_view domain) {
    return domain.starts_with('.') || domain.ends_with('.') ||
           domain.find("..") != std::string_view::npos;
}

/// A mailbox at the start of `text`; `length` is set to the octets it takes.
Result<Address> parse_mailbox(std::string_view text, std::size_t& length) {
    const std::size_t local = local_part_length(text);
    if (local == 0) return bad("no local part in the address", text);
    if (local > k_max_local_part) return bad("local part longer than 64 octets", text);

    Address address;
    address.local_part = text.substr(0, local);
    length = local;
    if (local == text.size() || text[local] != '@') return address;

    const auto rest = text.substr(local + 1);
    const std::size_t domain = domain_length(rest);
    address.domain = rest.substr(0, domain);
    if (address.domain.empty()) return bad("no domain behind the '@'", text);
    if (address.domain.size() > k_max_domain) return bad("domain longer than 255 octets", text);
    if (has_empty_label(address.domain)) return bad("empty label in the domain", text);
    length += 1 + domain;
    return address;
}

}  // namespace

std::string Address::text() const {
    return domain.empty() ? local_part : local_part + '@' + domain;
}

bool operator==(const Address& a, const Address& b) {
    return a.local_part == b.local_part && equal_ignoring_case(a.domain, b.domain);
}

Result<Address> parse_address(std::string_view text) {
    std::size_t length = 0;
    auto address = parse_mailbox(text, length);
    if (address && length != text.size()) {
        return bad("unexpected '" + std::string(1, is_control(text[length]) ? '?' : text[length]) +
                       "' in the address",
                   text);
    }
    return address;
}

namespace {

/// The colon behind `@relay.example,@[IPv6:2001:db8::1]`, whose literals have colons of their own.
std::size_t end_of_route(std::string_view text, std::size_t from) {
    bool literal = false;
    for (std::size_t at = from; at < text.size(); ++at) {
        if (text[at] == '[') literal = true;
        if (text[at] == ']') literal = false;
        if (text[at] == ':' && !literal) return at;
    }
    return std::string_view::npos;
}

}  // namespace

Result<Address> parse_path(std::string_view text, std::size_t& length) {
    if (!text.starts_with('<')) return bad("no '<' before the address", text);
    std::size_t at = 1;
    if (text.substr(at).starts_with('>')) {
        length = 2;
        return Address{};
    }
    if (text.substr(at).starts_with('@')) {
        const std::size_t colon = end_of_route(text, at);
        if (colon == std::string_view::npos) return bad("source route without ':'", text);
        at = colon + 1;
    }
    std::size_t mailbox = 0;
    auto address = parse_mailbox(text.substr(at), mailbox);
    if (!address) return address;
    at += mailbox;
    if (!text.substr(at).starts_with('>')) return bad("no '>' behind the address", text);
    length = at + 1;
    return address;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool matches_domain(std::string_view pattern, std::string_view domain) {
    if (!pattern.starts_with("*.")) return equal_ignoring_case(pattern, domain);
    const auto suffix = pattern.substr(1);
    return domain.size() > suffix.size() &&
           equal_ignoring_case(domain.substr(domain.size() - suffix.size()), suffix);
}

std::string lower_case(std::string_view text) {
    std::string lowered(text);
    std::ranges::transform(lowered, lowered.begin(), lower);
    return lowered;
}

}  // namespace mailroot
