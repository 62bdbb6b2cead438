#include "dns/reverse_name.hpp"

#include <arpa/inet.h>
#include <array>

namespace mailroot::dns {

namespace {

bool is_ipv6(std::string_view address) {
    return address.find(':') != std::string_view::npos;
}

}  // namespace

std::string reverse_name(std::string_view address, std::string_view zone) {
    const std::string text(address.substr(0, address.find('%')));
    const bool ipv6 = is_ipv6(text);
    std::array<unsigned char, sizeof(in6_addr)> octets{};
    if (::inet_pton(ipv6 ? AF_INET6 : AF_INET, text.c_str(), octets.data()) != 1) return {};
    std::string name;
    for (auto i = ipv6 ? sizeof(in6_addr) : sizeof(in_addr); i-- > 0;) {
        const unsigned octet = octets.at(i);
        if (ipv6) {
            constexpr std::string_view k_digits = "0123456789abcdef";
            name += {k_digits[octet & 0xf], '.', k_digits[octet >> 4], '.'};
        } else {
            name += std::to_string(octet) + '.';
        }
    }
    return name.append(zone);
}

std::string reverse_name(std::string_view address) {
    return reverse_name(address, is_ipv6(address) ? "ip6.arpa" : "in-addr.arpa");
}

}  // namespace mailroot::dns
