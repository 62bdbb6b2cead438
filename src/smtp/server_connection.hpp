#pragma once

#include "core/event_log.hpp"
#include "smtp/deadline.hpp"
#include "smtp/intake.hpp"
#include "smtp/server_options.hpp"
#include "smtp/server_session.hpp"

#include <asio/ip/tcp.hpp>

#include <memory>
#include <vector>

namespace mailroot::smtp {

/// One client: a ServerSession and the socket it speaks through.
class ServerConnection {
 public:
    /// `options`, `intake` and `log` must outlive the connection.
    ServerConnection(asio::ip::tcp::socket socket, Peer peer, const ServerOptions& options,
                     Intake& intake, EventLog& log);

    /// The whole life of the connection, from the greeting until the client is gone. Does not
    /// throw.
    Task<void> run();

    /// Ends the session as soon as no transaction runs.
    void stop();

    /// Ends it now, without a word.
    void cut();

 private:
    Task<void> perform(step::Receive&);
    Task<void> perform(step::Send& send);
    Task<void> perform(step::CheckRecipient& check);
    Task<void> perform(step::Begin& begin);
    Task<void> perform(step::Append& append);
    Task<void> perform(step::Commit&);
    Task<void> perform(step::Abort&);
    Task<void> perform(step::Close&);

    Task<void> converse();
    void interrupt();

    asio::ip::tcp::socket socket_;
    const ServerOptions& options_;
    Intake& intake_;
    EventLog& log_;
    ServerSession session_;
    Deadline deadline_;
    std::unique_ptr<IncomingMessage> message_;
    std::vector<char> buffer_;
    bool receiving_ = false;
};

}  // namespace mailroot::smtp
