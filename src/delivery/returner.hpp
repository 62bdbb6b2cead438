#pragma once

#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/result.hpp"
#include "core/verdict.hpp"
#include "delivery/context.hpp"
#include "folders/badmail.hpp"
#include "folders/message_reader.hpp"
#include "message/report.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::delivery {

/// One recipient of whom the sender is to be told.
struct Notice {
    std::size_t index;  ///< in the envelope
    Verdict verdict;
    message::Fate fate;
    TimePoint retry_until{};  ///< where it is delayed
};

/// Tells a sender what became of a message in one report (RFC 3464), or, where there is nobody to
/// give back to what failed, gives it to Badmail. Blocks: to be run on the disk's threads.
class Returner {
 public:
    explicit Returner(const Context& context) : context_(context) {}

    struct Report {
        MessageId id;
        bool in_queue = false;  ///< waits to be sent, not delivered to Drop at once
    };

    struct Outcome {
        std::optional<Report> report;  ///< accepted, on disk; none where there is nothing to tell
        std::optional<folders::HandOver> badmail;  ///< ready: settle the recipients, then show it
        std::string badmail_name;
        std::string badmail_reason;
    };

    /// Whether the sender was sent too many reports to be sent another.
    enum class Limit { kept, exceeded };

    /// `message` is read from its start. After success the caller settles the failed recipients.
    /// Without a reverse path, only of failures is to be told.
    [[nodiscard]] Result<Outcome> tell(const MessageId& id, const Envelope& envelope,
                                       const std::vector<Notice>& notices,
                                       folders::MessageReader& message, Limit limit) const;

 private:
    [[nodiscard]] Result<Report> report(const MessageId& id, const Envelope& envelope,
                                        const std::vector<Notice>& notices,
                                        folders::MessageReader& message) const;
    [[nodiscard]] Result<Outcome> to_badmail(const MessageId& id, const Envelope& envelope,
                                             const std::vector<Notice>& notices,
                                             folders::MessageReader& message,
                                             folders::BadmailReason reason) const;

    const Context& context_;
};

}  // namespace mailroot::delivery
