#pragma once

#include "core/envelope.hpp"
#include "core/result.hpp"
#include "core/verdict.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// The octets of a message on their way out, canonical and without dot-stuffing.
class MessageSource {
 public:
    virtual ~MessageSource() = default;

    /// Octets in all; exactly as many come out of next(), or it fails.
    [[nodiscard]] virtual std::uint64_t size() const = 0;

    /// The next portion; empty at the end. Fails where the file cannot be read or was changed under
    /// us: then the final dot is never sent and the connection is dropped.
    virtual Task<Result<std::string>> next() = 0;
};

/// How long each phase may take (RFC 5321 4.5.3.2).
struct ClientTimeouts {
    std::chrono::seconds connect{30};    ///< TCP, and a proxy; Postfix's smtp_connect_timeout
    std::chrono::seconds greeting{300};  ///< banner and EHLO
    std::chrono::seconds command{300};   ///< MAIL, RCPT, RSET
    std::chrono::seconds data_start{120};
    std::chrono::seconds data_block{180};
    std::chrono::seconds data_end{600};
    std::chrono::seconds quit{5};  ///< nothing hangs on its reply
};

/// How connections leave this machine.
struct WayOut {
    std::vector<std::string> sources{};  ///< addresses to connect from, one a family at most; to
                                         ///< hosts of another family the system chooses
    std::string proxy{};                 ///< `socks5://host:port`; empty: none
    std::string proxy_user{};            ///< to log in there as; empty: not at all
    std::string proxy_password{};        ///< the user's
};

/// Whether a connection is encrypted.
enum class TlsPolicy {
    none,     ///< never
    may,      ///< where the host offers it and the handshake succeeds; else in the clear
    encrypt,  ///< always, whoever the host is; else it is no connection
    verify,   ///< always, and its certificate names the host and is signed by who is trusted
};

/// What a host is shown so that it knows us (RFC 4954).
struct Credentials {
    enum class Kind { password, token };
    Kind kind = Kind::password;
    std::string user;
    std::string secret;       ///< the password, or an OAuth2 access token
    bool remembered = false;  ///< from an earlier time: they may not hold any more
};

/// Somebody to log in as. Asked anew for each connection: passwords change, tokens run out.
class Login {
 public:
    virtual ~Login() = default;

    /// For logs: `joe`. No two logins have the same name.
    [[nodiscard]] virtual const std::string& name() const = 0;

    /// Any error says why they cannot be had now.
    virtual Task<Result<Credentials>> credentials() = 0;

    /// These are remembered no more: the next ones are fresh.
    virtual void forget(const Credentials& credentials) = 0;

    /// There was no login, for the reason that the verdict gives.
    virtual void failed(const Verdict& verdict) = 0;
};

/// Where to connect, and how.
struct Endpoint {
    std::string name;     ///< of the host, for verdicts, logs and its certificate
    std::string address;  ///< `192.0.2.1` or `2001:db8::1`
    std::uint16_t port = 25;
    TlsPolicy tls = TlsPolicy::none;
    bool chunking = true;    ///< use it where the host offers it
    Login* login = nullptr;  ///< null: none; outlives the connector
};

/// A message to be sent.
struct Outgoing {
    const Envelope& envelope;
    MessageSource& message;
};

/// Gives the message that is to be sent next, if there is one: once it was given, the next send()
/// is for it.
using FindNext = std::function<std::optional<Outgoing>()>;

/// An open, greeted connection. One transaction at a time.
class ClientConnection {
 public:
    virtual ~ClientConnection() = default;

    /// Sends `message` to the recipients of `envelope` and gives one verdict for each, in their
    /// order. Whatever happens on the wire ends as verdicts. Where the host lets us (PIPELINING),
    /// the next message is begun before the verdicts are there.
    virtual Task<std::vector<Verdict>> send(const Envelope& envelope, MessageSource& message,
                                            FindNext find_next) = 0;

    /// The same, of one message alone.
    Task<std::vector<Verdict>> send(const Envelope& envelope, MessageSource& message) {
        return send(envelope, message, [] { return std::optional<Outgoing>(); });
    }

    /// Whether the host said anything after the message of the last send() was begun.
    [[nodiscard]] virtual bool was_answered() const = 0;

    /// Whether the host offered CHUNKING and does not know BDAT: then the message may go another
    /// way.
    [[nodiscard]] virtual bool lacks_chunking() const = 0;

    /// Whether another send() may follow: the replies are in step and the server has not said 421;
    /// or a message was begun, and has its verdicts to come.
    [[nodiscard]] virtual bool usable() const = 0;

    /// Says QUIT and hangs up. Destroying a connection hangs up without a word.
    virtual Task<void> quit() = 0;
};

/// A connection, or why there is none.
struct ConnectOutcome {
    std::unique_ptr<ClientConnection> connection;  ///< null where it failed
    Verdict failure;  ///< then: deferred for what may pass (refused, timeout, 4xx greeting), failed
                      ///< for a 5xx greeting
    bool login_failed = false;  ///< it is for the login; the host's other addresses know no better
};

/// Opens connections to other hosts.
class Connector {
 public:
    virtual ~Connector() = default;
    virtual Task<ConnectOutcome> connect(Endpoint endpoint) = 0;
};

/// Connections over libcurl, which connects, reads the greeting, says EHLO as `hostname` and begins
/// TLS; `authorities` is the PEM file of who is trusted to sign certificates, empty for the
/// system's. `reactor` must outlive the Connector, and that its connections. Kind::unavailable
/// where libcurl cannot be set up, Kind::config where the file cannot be read.
Result<std::unique_ptr<Connector>> make_curl_connector(Reactor& reactor, std::string hostname,
                                                       ClientTimeouts timeouts,
                                                       std::string authorities = {},
                                                       WayOut way_out = {});

}  // namespace mailroot::smtp
