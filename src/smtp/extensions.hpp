#pragma once

#include "core/reply.hpp"

#include <cstdint>

namespace mailroot::smtp {

/// What a server offers beyond RFC 5321's minimum, as far as the client makes use of it.
struct Extensions {
    bool pipelining = false;       ///< RFC 2920
    bool eight_bit_mime = false;   ///< RFC 6152
    bool dsn = false;              ///< RFC 3461
    bool smtp_utf8 = false;        ///< RFC 6531
    bool chunking = false;         ///< RFC 3030: BDAT
    bool binary_mime = false;      ///< RFC 3030
    bool size = false;             ///< RFC 1870
    std::uint64_t size_limit = 0;  ///< octets; 0: the server names none
};

/// Reads the reply to EHLO (RFC 5321 4.1.1.1): the lines after the first.
[[nodiscard]] Extensions read_extensions(const Reply& ehlo);

}  // namespace mailroot::smtp
