#pragma once

#include "dns/resolver.hpp"

#include <span>
#include <string_view>

/// Reads DNS messages as name servers send them (RFC 1035).
namespace mailroot::dns {

/// The MX records that `message` holds for `name`, behind its aliases. Status::temporary where the
/// message is broken, Status::no_data where there are none.
[[nodiscard]] MxAnswer parse_mx(std::span<const unsigned char> message, std::string_view name);

/// Likewise the addresses of one family.
[[nodiscard]] AddressAnswer parse_addresses(std::span<const unsigned char> message,
                                            std::string_view name, Family family);

/// Likewise the names that an address has.
[[nodiscard]] NameAnswer parse_names(std::span<const unsigned char> message, std::string_view name);

}  // namespace mailroot::dns
