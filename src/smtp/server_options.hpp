#pragma once

#include "smtp/message_receiver.hpp"
#include "smtp/users.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mailroot::smtp {

/// What the server says and how much it bears with. A count of 0 is no limit.
struct ServerOptions {
    std::string hostname;                        ///< in the greeting and the EHLO reply
    std::uint64_t message_size = 32u << 20;      ///< octets; SIZE in the EHLO reply
    std::uint64_t session_size = 256u << 20;     ///< octets of all messages; then MAIL: 421 4.7.0
    std::uint64_t recipients = 100;              ///< per message; more: 452 4.5.3
    std::uint64_t messages_per_connection = 20;  ///< more MAIL: 421 4.7.0
    std::size_t connections = 1000;              ///< at once; more are answered 421 and closed
    std::uint64_t errors = 20;                   ///< commands refused for good (5xx) before 421
    std::uint64_t unknown_commands = 10;         ///< before 421
    std::uint64_t idle_commands = 100;           ///< that carry no message, between two; then 421
    std::chrono::milliseconds idle{600'000};     ///< without a command or data
    std::uint64_t min_rate = 500;                ///< octets/s of a message, once `idle` is over
    BareNewline bare_newline = BareNewline::normalize;
    bool auth_requires_tls = true;    ///< else 538 5.7.11, and AUTH is not offered
    std::uint64_t auth_failures = 3;  ///< then 421 4.7.0
    std::chrono::milliseconds auth_failure_delay{3000};  ///< before each 535
    bool etrn = false;                                   ///< ETRN is offered
    bool turn = false;  ///< ATRN is offered to who is authenticated
};

/// What one session has beyond that: the rules of its listener, and what was last read from files.
struct SessionTerms {
    bool starttls = false;               ///< offered
    bool require_tls = false;            ///< no mail before it: 530 5.7.0
    std::shared_ptr<const Users> users;  ///< who may authenticate; null: no AUTH
};

}  // namespace mailroot::smtp
