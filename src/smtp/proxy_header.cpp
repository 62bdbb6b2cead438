#include "smtp/proxy_header.hpp"

#include "smtp/networks.hpp"

#include <asio/ip/address.hpp>

#include <algorithm>
#include <charconv>
#include <vector>

namespace mailroot::smtp {

namespace {

constexpr std::string_view k_text_start = "PROXY ";
constexpr std::size_t k_text_longest = 107;  // with its CRLF, 2.1

constexpr std::string_view k_binary_start("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t k_binary_fixed = 16;  // up to the length, included, 2.2
constexpr std::size_t k_binary_longest = 4096;

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words(1);
    for (const char c : text) {
        if (c == ' ') {
            words.emplace_back();
        } else {
            words.back() += c;
        }
    }
    return words;
}

std::optional<std::uint16_t> port_of(std::string_view text) {
    std::uint16_t port = 0;
    const auto end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    if (stop != end || error != std::errc{}) return std::nullopt;
    return port;
}

bool is_address(const std::string& text, bool ipv6) {
    asio::error_code error;
    const auto address = asio::ip::make_address(text, error);
    return !error && address.is_v6() == ipv6;
}

std::uint16_t number_at(std::string_view octets, std::size_t at) {
    const auto high = static_cast<unsigned char>(octets[at]);
    const auto low = static_cast<unsigned char>(octets[at + 1]);
    return static_cast<std::uint16_t>(high << 8 | low);
}

template <class Address>
std::string address_at(std::string_view octets, std::size_t at) {
    typename Address::bytes_type bytes;
    std::copy_n(octets.begin() + static_cast<std::ptrdiff_t>(at), bytes.size(), bytes.begin());
    return unmapped(Address(bytes)).to_string();
}

}  // namespace

void ProxyHeader::feed(std::string_view octets) {
    for (const char octet : octets) {
        if (state_ == State::malformed) return;
        if (state_ == State::whole) return refuse("octets behind its end");
        octets_ += octet;
        look();
    }
}

void ProxyHeader::look() {
    const auto begins = [this](std::string_view start) {
        const auto length = std::min(start.size(), octets_.size());
        return start.substr(0, length) == std::string_view(octets_).substr(0, length);
    };
    if (begins(k_text_start)) {
        if (octets_.size() >= k_text_start.size()) read_text();
    } else if (begins(k_binary_start)) {
        if (octets_.size() >= k_binary_fixed) read_binary();
    } else {
        refuse("the connection does not begin with it");
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 25` and CRLF; `PROXY UNKNOWN` and whatever.
void ProxyHeader::read_text() {
    if (!octets_.ends_with("\r\n")) {
        if (octets_.size() >= k_text_longest) refuse("longer than 107 octets");
        return;
    }
    const auto line = std::string_view(octets_).substr(0, octets_.size() - 2);
    const auto words = words_of(line);
    state_ = State::whole;
    if (words[1] == "UNKNOWN") return;
    const bool ipv6 = words[1] == "TCP6";
    if (words.size() != 6 || (!ipv6 && words[1] != "TCP4") || !is_address(words[2], ipv6) ||
        !is_address(words[3], ipv6) || !port_of(words[4]) || !port_of(words[5])) {
        return refuse("not of the form 'PROXY TCP4 source destination port port'");
    }
    source_ = Source{unmapped(asio::ip::make_address(words[2])).to_string(), *port_of(words[4])};
}

void ProxyHeader::read_binary() {
    const auto version = static_cast<unsigned char>(octets_[12]) >> 4;
    const auto command = static_cast<unsigned char>(octets_[12]) & 0xf;
    const auto protocol = static_cast<unsigned char>(octets_[13]);
    const std::size_t length = number_at(octets_, 14);
    if (version != 2 || command > 1) return refuse("neither version 1 nor 2");
    if (length > k_binary_longest) return refuse("longer than 4096 octets");
    if (octets_.size() < k_binary_fixed + length) return;
    state_ = State::whole;
    constexpr unsigned k_local = 0, k_tcp4 = 0x11, k_tcp6 = 0x21;
    if (command == k_local) return;
    if (protocol == k_tcp4 && length >= 12) {
        source_ = Source{address_at<asio::ip::address_v4>(octets_, k_binary_fixed),
                         number_at(octets_, k_binary_fixed + 8)};
    } else if (protocol == k_tcp6 && length >= 36) {
        source_ = Source{address_at<asio::ip::address_v6>(octets_, k_binary_fixed),
                         number_at(octets_, k_binary_fixed + 32)};
    } else if (protocol == k_tcp4 || protocol == k_tcp6) {
        refuse("too short for its addresses");
    }
}

void ProxyHeader::refuse(std::string reason) {
    state_ = State::malformed;
    reason_ = std::move(reason);
    source_.reset();
}

}  // namespace mailroot::smtp
