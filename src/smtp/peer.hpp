#pragma once

#include <cstdint>
#include <string>

namespace mailroot::smtp {

/// The client at the other end of a session.
struct Peer {
    std::string address;  ///< `192.0.2.1`, `::1`; an IPv4-mapped address as its IPv4 one
    std::uint16_t port = 0;
    bool loopback = false;  ///< 127.0.0.0/8 or ::1
    std::string helo;       ///< what it called itself, as it was said; empty where it did not
    bool extended = false;  ///< it said EHLO
};

}  // namespace mailroot::smtp
