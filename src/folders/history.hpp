#pragma once

#include "core/clock.hpp"
#include "core/result.hpp"

#include <map>
#include <string>
#include <string_view>

namespace mailroot::folders {

/// What earlier attempts at a message left to remember (`Queue/<id>.json`). Losing it loses
/// history, never mail: who is settled stands in the message file, when it is due in that file's
/// mtime.
struct History {
    /// The last attempt at one recipient.
    struct Attempt {
        TimePoint when;
        std::string host;           ///< who answered; empty where nobody was reached
        std::string reply;          ///< their words, or why nobody was reached
        int count = 0;              ///< attempts so far
        bool delay_told = false;    ///< the sender knows that it takes longer
        bool success_owed = false;  ///< it was the last, and the sender is to be told
        std::string tls{};          ///< how that connection was encrypted; empty: not at all
    };

    int attempts = 0;  ///< of the message
    int crashes = 0;   ///< processes that ended before they had read a pickup file through
    std::map<std::string, Attempt> recipients;  ///< by address text
};

/// Whether a sender is to be told of a success yet: then it stands here alone.
[[nodiscard]] bool owes_success(const History& history);

/// The file's JSON, which parse_history() reads.
[[nodiscard]] std::string history_text(const History& history);

/// Unknown members are skipped. Kind::parse where the text is no history at all.
Result<History> parse_history(std::string_view text);

/// `2026-11-24T01:48:12Z`, as all our JSON has it.
[[nodiscard]] std::string timestamp(TimePoint time);

/// Reads what timestamp() wrote; the epoch where the text is none.
[[nodiscard]] TimePoint parse_timestamp(const std::string& text);

}  // namespace mailroot::folders
