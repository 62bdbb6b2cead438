#include "smtp/networks.hpp"

#include <asio/ip/address_v6.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace mailroot::smtp {

namespace {

using Bytes = asio::ip::address_v6::bytes_type;

constexpr unsigned k_bits = 128;
constexpr unsigned k_bits_before_ipv4 = 96;

/// Every address as IPv6, without its zone.
std::optional<Bytes> bytes_of(std::string_view text) {
    asio::error_code error;
    const auto address = asio::ip::make_address(std::string(text.substr(0, text.find('%'))), error);
    if (error) return std::nullopt;
    if (address.is_v6()) return address.to_v6().to_bytes();
    return asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes();
}

/// The address with all bits behind the prefix cleared.
Bytes masked(Bytes address, unsigned prefix) {
    for (unsigned i = 0; i < address.size(); ++i) {
        const unsigned kept = std::clamp(prefix, i * 8, i * 8 + 8) - i * 8;
        address[i] = static_cast<unsigned char>(address[i] & (0xff00u >> kept));
    }
    return address;
}

}  // namespace

Result<Networks::Network> Networks::parse_one(const std::string& text) {
    const auto bad = [&text](const std::string& why) {
        return fail(Error::Kind::config, "'" + text +
                                             "' is no network such as 192.0.2.0/24 or "
                                             "2001:db8::/32" +
                                             why);
    };
    const auto slash = std::min(text.find('/'), text.size());
    const auto address = bytes_of(std::string_view(text).substr(0, slash));
    if (!address || text.find('%') != std::string::npos) return bad("");
    const bool ipv4 = text.find(':') == std::string::npos;
    unsigned prefix = ipv4 ? 32 : k_bits;
    if (slash < text.size()) {
        const auto end = text.data() + text.size();
        const auto most = prefix;
        const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, prefix);
        if (stop != end || error != std::errc{} || prefix > most) return bad("");
    }
    if (ipv4) prefix += k_bits_before_ipv4;
    const auto first = masked(*address, prefix);
    if (first != *address) {
        const auto meant = asio::ip::make_address_v6(first);
        const auto shown = ipv4 ? asio::ip::make_address_v4(asio::ip::v4_mapped, meant).to_string()
                                : meant.to_string();
        return bad(": " + shown + text.substr(slash) + " is meant, or the address alone");
    }
    return Network{first, prefix};
}

asio::ip::address unmapped(const asio::ip::address& address) {
    if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
}

Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
    Networks networks;
    for (const auto& text : texts) {
        const auto network = parse_one(text);
        if (!network) return tl::unexpected(network.error());
        networks.networks_.push_back(*network);
    }
    return networks;
}

bool Networks::contains(std::string_view address) const {
    if (networks_.empty()) return false;
    const auto bytes = bytes_of(address);
    return bytes && std::ranges::any_of(networks_, [&](const Network& network) {
               return masked(*bytes, network.prefix) == network.first;
           });
}

}  // namespace mailroot::smtp
