#pragma once

#include "core/reply.hpp"
#include "core/result.hpp"
#include "core/tls_facts.hpp"
#include "smtp/client.hpp"
#include "smtp/extensions.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// The octets of one SMTP connection to a server that has greeted us: replies in, anything out,
/// each wait with an end.
class ClientWire {
 public:
    virtual ~ClientWire() = default;

    /// What send() does when the server speaks before all was sent.
    enum class OnInput { keep_sending, stop };

    /// Sends `octets`, taking in what the server says meanwhile. Gives whether all of them were
    /// sent. Fails where the connection breaks, or where none can be sent for that long.
    virtual Task<Result<bool>> send(std::string_view octets, std::chrono::milliseconds most,
                                    OnInput on_input) = 0;

    /// The next reply, within that time as a whole.
    virtual Task<Result<Reply>> reply(std::chrono::milliseconds most) = 0;

    /// Takes in what has come, without waiting. Fails where the connection is broken.
    virtual Result<void> take_in() = 0;

    /// Whether the server said something that was not given out as a reply.
    [[nodiscard]] virtual bool has_input() const = 0;
};

/// The server, for verdicts.
struct ServerFacts {
    std::string host;  ///< `mx1.example.org [192.0.2.1]`
    TlsFacts tls;
};

/// The connection over such a wire to a server that offers that much.
std::unique_ptr<ClientConnection> make_client_connection(std::unique_ptr<ClientWire> wire,
                                                         const Extensions& offered,
                                                         ServerFacts server,
                                                         const ClientTimeouts& timeouts);

}  // namespace mailroot::smtp
