#pragma once

#include "core/event_log.hpp"
#include "core/result.hpp"
#include "smtp/intake.hpp"
#include "smtp/server_options.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace mailroot::smtp {

/// Listens and runs a session per client.
class Server {
 public:
    virtual ~Server() = default;

    /// Starts to listen at `address:port` (`0.0.0.0:25`, `[::]:25`; port 0 takes a free one, IPv6
    /// sockets take IPv6 alone). Gives the address taken. Kind::unavailable where the port is in
    /// use, permission where it may not be bound.
    virtual Result<std::string> listen(const std::string& address) = 0;

    /// Begins to accept, and hands messages to `intake`, which must outlive the server; before it
    /// clients wait in the backlog. So a service binds its ports before it opens its folders.
    virtual void start(Intake& intake) = 0;

    /// Stops to listen, lets transactions finish and ends idle sessions with 421; done when all are
    /// gone or `grace` is over.
    virtual Task<void> stop(std::chrono::seconds grace) = 0;
};

/// `loop` and `log` must outlive the server.
std::unique_ptr<Server> make_server(Loop& loop, EventLog& log, ServerOptions options);

}  // namespace mailroot::smtp
