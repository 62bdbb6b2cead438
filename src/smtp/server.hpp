#pragma once

#include "core/event_log.hpp"
#include "core/result.hpp"
#include "smtp/intake.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mailroot::smtp {

/// What the server says and how much it bears with.
struct ServerOptions {
    std::string hostname;                      ///< in the greeting and the EHLO reply
    std::uint64_t message_size = 32u << 20;    ///< octets; SIZE in the EHLO reply; 0: no limit
    std::size_t recipients = 100;              ///< per message; more: 452 4.5.3
    std::size_t messages_per_connection = 20;  ///< more MAIL: 421 4.7.0 (0: no limit)
    std::size_t connections = 1000;            ///< at once; more are answered 421 and closed
    std::size_t errors = 20;                   ///< refused commands before 421
    std::chrono::seconds idle{600};            ///< without a command or data
};

/// Listens and runs a session per client.
class Server {
 public:
    virtual ~Server() = default;

    /// Starts to listen at `address:port` (`0.0.0.0:25`, `[::]:25`; port 0 takes a free one, IPv6
    /// sockets take IPv6 alone). Gives the address taken. Kind::unavailable where the port is in
    /// use, permission where it may not be bound.
    virtual Result<std::string> listen(const std::string& address) = 0;

    /// Begins to accept; before it clients wait in the backlog.
    virtual void start() = 0;

    /// Stops to listen, lets transactions finish and ends idle sessions with 421; done when all are
    /// gone or `grace` is over.
    virtual Task<void> stop(std::chrono::seconds grace) = 0;
};

/// `context`, `intake` and `log` must outlive the server.
std::unique_ptr<Server> make_server(asio::io_context& context, Intake& intake, EventLog& log,
                                    ServerOptions options);

}  // namespace mailroot::smtp
