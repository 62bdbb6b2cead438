#pragma once

#include "core/event_log.hpp"
#include "smtp/admission.hpp"
#include "smtp/deadline.hpp"
#include "smtp/intake.hpp"
#include "smtp/server.hpp"
#include "smtp/server_options.hpp"
#include "smtp/server_session.hpp"
#include "smtp/stream.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mailroot::smtp {

/// What the connections of a server share.
struct ServerContext {
    const ServerOptions options;
    const Networks proxies;  ///< from where connections begin with a PROXY header
    EventLog& log;
    Admission admission;
    Threads passwords{2};      ///< where they are checked: made to be slow
    Intake* intake = nullptr;  ///< from Server::start() on
    QueueTrigger* trigger = nullptr;
    ServerSecrets secrets{};
    std::uint64_t sessions = 0;  ///< begun so far
};

/// One client: a ServerSession and the stream it speaks through.
class ServerConnection {
 public:
    /// `context` must outlive the connection. Of `client` the addresses are known.
    ServerConnection(asio::ip::tcp::socket socket, Peer client, ListenerOptions listener,
                     ServerContext& context);

    /// The whole life of the connection until the client is gone. Does not throw.
    Task<void> run();

    /// Ends the session as soon as no transaction runs.
    void stop();

    /// Ends it now, without a word.
    void cut();

 private:
    Task<bool> prepare();
    Task<bool> read_proxy_header();
    Task<bool> admit();
    Task<bool> encrypt();
    Task<void> turn_away(const Reply& reply);
    [[nodiscard]] SessionTerms terms() const;

    Task<void> converse();
    Task<void> perform(step::Receive&);
    Task<void> perform(step::Send& send);
    Task<void> perform(step::StartTls&);
    Task<void> perform(step::CheckPassword& check);
    Task<void> perform(step::Pause& pause);
    Task<void> perform(step::CheckSender& check);
    Task<void> perform(step::CheckRecipient& check);
    Task<void> perform(step::Begin& begin);
    Task<void> perform(step::Append& append);
    Task<void> perform(step::Commit&);
    Task<void> perform(step::Abort&);
    Task<void> perform(step::StartQueue& start);
    Task<void> perform(step::CheckTurn& check);
    Task<void> perform(step::Turn& turn);
    Task<void> perform(step::Close&);

    void interrupt();

    std::unique_ptr<Stream> stream_;  ///< null once it was turned around
    ServerContext& context_;
    Peer client_;
    const ListenerOptions listener_;
    const ServerSecrets secrets_;
    std::optional<ServerSession> session_;  ///< once the client was let in
    Deadline deadline_;
    std::unique_ptr<IncomingMessage> message_;
    std::vector<char> buffer_;  ///< holds octets only while they are worked on
    bool admitted_ = false;
    bool interruptible_ = false;  ///< what it waits for is nothing that a stop has to wait for
    bool stopping_ = false;
};

}  // namespace mailroot::smtp
