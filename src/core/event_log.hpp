#pragma once

#include "core/clock.hpp"
#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/peer.hpp"
#include "core/reply.hpp"
#include "core/result.hpp"
#include "core/verdict.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mailroot {

/// What an SMTP client said, and what it was told.
struct SmtpCommand {
    std::string_view line;  ///< as it was said, secrets taken out; `end of data` for a message
    const Reply& reply;
    std::uint64_t octets = 0;           ///< that the client sent for it
    std::chrono::milliseconds took{0};  ///< from its last octet to the reply
};

/// How an SMTP session ended.
struct SessionEnd {
    std::string_view how;        ///< `quit`, `disconnected`, `lost in a transaction`, `timed out`
    std::uint64_t received = 0;  ///< octets of the client
    std::uint64_t sent = 0;      ///< octets of ours
    std::uint64_t messages = 0;  ///< taken over
    std::chrono::milliseconds lasted{0};
};

/// What happens to mail, one function per event, so that logs and metrics need nothing more from
/// the code that does it. Implementations return at once and never fail.
class EventLog {
 public:
    virtual ~EventLog() = default;

    /// A message was accepted over SMTP.
    virtual void received(const MessageId& id, const Envelope& envelope, std::uint64_t octets,
                          const Peer& client) = 0;

    /// A file was taken from Pickup; `dots` is `unstuff` or `raw`, what was decided for its lines.
    virtual void picked_up(const MessageId& id, std::string_view file, const Envelope& envelope,
                           std::string_view dots) = 0;

    /// One recipient was attempted; `next_attempt` is set where the verdict is deferred.
    virtual void attempted(const MessageId& id, const Address& recipient, const Verdict& verdict,
                           std::optional<TimePoint> next_attempt) = 0;

    /// The report `report` about message `id` was accepted for its sender.
    virtual void reported(const MessageId& id, const MessageId& report, const Address& sender) = 0;

    /// A message went to Badmail.
    virtual void badmailed(const MessageId& id, std::string_view reason) = 0;

    /// Nothing is left to be done for a message.
    virtual void settled(const MessageId& id) = 0;

    /// A file that cannot be used was left where it is: which, and why.
    virtual void set_aside(std::string_view file, const Error& reason) = 0;

    /// An SMTP client came and has its greeting.
    virtual void connected(const Peer& client) = 0;

    /// One came and was not let in; of the client the address alone is known.
    virtual void turned_away(const Peer& client, const Reply& why) = 0;

    /// The connection is encrypted from here on; the Peer says how.
    virtual void encrypted(const Peer& client) = 0;

    /// It could not be encrypted, and ends.
    virtual void encryption_failed(const Peer& client, std::string_view why) = 0;

    /// The client is the Peer's user from here on; `mechanism` is `PLAIN` and the like.
    virtual void authenticated(const Peer& client, std::string_view mechanism) = 0;

    /// It said that it was `name`, as far as it did, and could not show it.
    virtual void authentication_failed(const Peer& client, std::string_view mechanism,
                                       std::string_view name) = 0;

    /// A command has its reply.
    virtual void command(const Peer& client, const SmtpCommand& command) = 0;

    /// A session is over.
    virtual void disconnected(const Peer& client, const SessionEnd& end) = 0;

    /// The service itself: started, listening, stopping.
    virtual void notice(std::string_view what) = 0;

    /// Something an administrator should look at that concerns no single message.
    virtual void warning(std::string_view what) = 0;
};

}  // namespace mailroot
