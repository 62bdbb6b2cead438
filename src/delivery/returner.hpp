#pragma once

#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/result.hpp"
#include "core/verdict.hpp"
#include "delivery/context.hpp"
#include "folders/badmail.hpp"
#include "folders/message_reader.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::delivery {

/// One recipient that an attempt gave up.
struct FailedRecipient {
    std::size_t index;  ///< in the envelope
    Verdict verdict;
    bool expired = false;  ///< for its age
};

/// Gives what could not be delivered back to its sender as one report (RFC 3464), or, where there
/// is nobody to give it to, to Badmail. Blocks: to be run on the disk's threads.
class Returner {
 public:
    explicit Returner(const Context& context) : context_(context) {}

    struct Report {
        MessageId id;
        bool in_queue = false;  ///< waits to be sent, not delivered to Drop at once
    };

    struct Outcome {
        std::optional<Report> report;  ///< accepted, on disk; none where nobody wants one
        std::optional<folders::HandOver> badmail;  ///< ready: settle the recipients, then show it
        std::string badmail_name;
        std::string badmail_reason;
    };

    /// `message` is read from its start. After success the caller settles the failed recipients.
    [[nodiscard]] Result<Outcome> give_back(const MessageId& id, const Envelope& envelope,
                                            const std::vector<FailedRecipient>& failed,
                                            folders::MessageReader& message) const;

 private:
    [[nodiscard]] Result<Report> report(const MessageId& id, const Envelope& envelope,
                                        const std::vector<FailedRecipient>& failed,
                                        folders::MessageReader& message) const;
    [[nodiscard]] Result<Outcome> to_badmail(const MessageId& id, const Envelope& envelope,
                                             const std::vector<FailedRecipient>& failed,
                                             folders::MessageReader& message) const;

    const Context& context_;
};

}  // namespace mailroot::delivery
