#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace mailroot::smtp {

/// What the server says and how much it bears with. A count of 0 is no limit.
struct ServerOptions {
    std::string hostname;                      ///< in the greeting and the EHLO reply
    std::uint64_t message_size = 32u << 20;    ///< octets; SIZE in the EHLO reply
    std::size_t recipients = 100;              ///< per message; more: 452 4.5.3
    std::size_t messages_per_connection = 20;  ///< more MAIL: 421 4.7.0
    std::size_t connections = 1000;            ///< at once; more are answered 421 and closed
    std::size_t errors = 20;                   ///< commands refused for good (5xx) before 421
    std::chrono::milliseconds idle{600'000};   ///< without a command or data
};

}  // namespace mailroot::smtp
