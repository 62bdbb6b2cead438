#pragma once

#include <cstdint>
#include <string>

namespace mailroot {

/// The client at the other end of one SMTP session of ours, as far as it is known by now.
struct Peer {
    std::uint64_t session = 0;  ///< counted from the start of the process
    std::string address;        ///< `192.0.2.1`, `::1`; an IPv4-mapped address as its IPv4 one
    std::uint16_t port = 0;
    std::string server_address;  ///< ours, that it connected to
    std::uint16_t server_port = 0;
    bool loopback = false;     ///< 127.0.0.0/8 or ::1
    std::string name;          ///< of its address, by a reverse lookup; empty where none was made
    std::string blocklist;     ///< the first DNS blocklist that names it; empty: none was found
    std::string helo;          ///< what it called itself, as it was said; empty where it did not
    bool extended = false;     ///< it said EHLO
    std::string user;          ///< that it authenticated as; empty: nobody
    std::string tls_protocol;  ///< `TLSv1.3`; empty: plain
    std::string tls_cipher;    ///< `TLS_AES_256_GCM_SHA384`

    [[nodiscard]] bool encrypted() const { return !tls_protocol.empty(); }
    [[nodiscard]] bool authenticated() const { return !user.empty(); }
};

}  // namespace mailroot
