#pragma once

#include "core/clock.hpp"
#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/result.hpp"
#include "core/verdict.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace mailroot {

/// What happens to mail, one function per event, so that logs and metrics need nothing more from
/// the code that does it. Implementations return at once and never fail.
class EventLog {
 public:
    virtual ~EventLog() = default;

    /// A message was accepted over SMTP; `client` is `helo [address]`.
    virtual void received(const MessageId& id, const Envelope& envelope, std::uint64_t octets,
                          std::string_view client) = 0;

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

    /// An SMTP client came, spoke and went; `what` is one of its commands and our reply, or the
    /// end.
    virtual void session(std::string_view client, std::string_view what) = 0;

    /// The service itself: started, listening, stopping.
    virtual void notice(std::string_view what) = 0;

    /// Something an administrator should look at that concerns no single message.
    virtual void warning(std::string_view what) = 0;
};

}  // namespace mailroot
