#pragma once

#include "core/result.hpp"

#include <asio/ip/address.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// An IPv4-mapped IPv6 address as the IPv4 one that it stands for; others as they are.
[[nodiscard]] asio::ip::address unmapped(const asio::ip::address& address);

/// A list of networks, as `relay.networks` and `access.deny` give them.
class Networks {
 public:
    Networks() = default;

    /// `192.0.2.0/24`, `2001:db8::/32`; an address alone is a network of one. Kind::config names
    /// the text that is none and, where bits behind the prefix are set, the form that is meant.
    static Result<Networks> parse(const std::vector<std::string>& texts);

    /// Whether an address lies in one of them. An IPv4-mapped address counts as its IPv4 one, and a
    /// zone (`fe80::1%eth0`) does not count. Takes time in proportion to the list.
    [[nodiscard]] bool contains(std::string_view address) const;

    [[nodiscard]] bool empty() const { return networks_.empty(); }

 private:
    /// All addresses are held as IPv6: an IPv4 network is one of mapped addresses.
    struct Network {
        asio::ip::address_v6::bytes_type first;
        unsigned prefix = 0;  ///< bits, of 128
    };
    static Result<Network> parse_one(const std::string& text);

    std::vector<Network> networks_;
};

}  // namespace mailroot::smtp
