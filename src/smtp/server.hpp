#pragma once

#include "core/event_log.hpp"
#include "core/result.hpp"
#include "smtp/admission.hpp"
#include "smtp/intake.hpp"
#include "smtp/server_options.hpp"
#include "smtp/tls.hpp"
#include "smtp/users.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace mailroot::smtp {

/// One address that is listened at, and what clients there are offered.
struct ListenerOptions {
    enum class Tls {
        offered,   ///< by STARTTLS, where there is a certificate
        implicit,  ///< from the first octet on (RFC 8314 3.3)
        none,
    };
    std::string address;  ///< `0.0.0.0:25`, `[::]:25`; port 0 takes a free one
    Tls tls = Tls::offered;
    bool require_tls = false;  ///< no mail without it
};

/// What the server read from files, and reads anew on request. Sessions keep what they began with.
struct ServerSecrets {
    std::shared_ptr<const TlsContext> tls;  ///< null: no TLS
    std::shared_ptr<const Users> users;     ///< null: no AUTH
};

/// Listens and runs a session per client.
class Server {
 public:
    virtual ~Server() = default;

    /// Starts to listen. IPv6 sockets take IPv6 alone. Gives the address taken. Kind::unavailable
    /// where the port is in use, permission where it may not be bound.
    virtual Result<std::string> listen(const ListenerOptions& listener) = 0;

    /// What clients that come from here on are offered.
    virtual void use(ServerSecrets secrets) = 0;

    /// Begins to accept, and hands messages to `intake`, which must outlive the server; before it
    /// clients wait in the backlog. So a service binds its ports before it opens its folders.
    /// `trigger` likewise; it is needed where ETRN or ATRN is offered.
    virtual void start(Intake& intake, QueueTrigger* trigger = nullptr) = 0;

    /// Stops to listen, lets transactions finish and ends idle sessions with 421; done when all are
    /// gone or `grace` is over.
    virtual Task<void> stop(std::chrono::seconds grace) = 0;
};

/// `loop` and `log` must outlive the server.
std::unique_ptr<Server> make_server(Loop& loop, EventLog& log, ServerOptions options,
                                    AdmissionOptions admission, Networks proxies);

}  // namespace mailroot::smtp
