#pragma once

#include <string>
#include <string_view>

namespace mailroot::dns {

/// The name under which `zone` knows an address, as in-addr.arpa, ip6.arpa and DNS blocklists (RFC
/// 5782 2.1, 2.4) have it: `1.2.0.192.zone`. Empty where `address` is none; a zone of it
/// (`fe80::1%eth0`) does not count.
[[nodiscard]] std::string reverse_name(std::string_view address, std::string_view zone);

/// The same in the zone in which the names of addresses are: `1.2.0.192.in-addr.arpa` (RFC
/// 1035 3.5, RFC 3596 2.5).
[[nodiscard]] std::string reverse_name(std::string_view address);

}  // namespace mailroot::dns
