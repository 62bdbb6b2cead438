#pragma once

#include "core/clock.hpp"
#include "core/message_id.hpp"
#include "folders/mailroot.hpp"
#include "folders/queue.hpp"

#include <string>
#include <vector>

namespace mailroot::folders {

/// What recover() did, for the event log.
struct Recovered {
    std::vector<std::string>
        finished;  ///< hand-overs that were ready: the places of the files now visible
    std::vector<std::string> swept;  ///< leftovers that were nobody's
    std::vector<Error> errors;       ///< what could not be done; nothing was lost by it
};

/// Brings what a crash left to its next state (src/README.md has the table): hand-overs that were
/// ready are finished (the source settled, the file shown), temporary files, histories without a
/// message and descriptions without a bad one are swept once they are 15 minutes old. Touches
/// nothing that another process holds; safe at any time.
Recovered recover(const Mailroot& mailroot, TimePoint now, MessageIdSource& ids);

/// The same for one message, behind its claim and before anything else is done with it: the
/// recipients in its ready files are settled in it, then these are shown. False where another
/// process has one in hand: then it is not ours to attempt.
[[nodiscard]] Result<bool> finish_hand_overs(const Mailroot& mailroot, QueuedMessage& message,
                                             MessageIdSource& ids);

}  // namespace mailroot::folders
