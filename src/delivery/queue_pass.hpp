#pragma once

#include "delivery/context.hpp"
#include "delivery/courier.hpp"
#include "delivery/pickup_courier.hpp"
#include "smtp/loop.hpp"

#include <cstdint>
#include <vector>

namespace mailroot::delivery {

/// Which messages of Queue a pass attempts.
struct QueueSelection {
    std::vector<MessageId> ids;  ///< these alone, due or not; empty: by time
    bool all = false;            ///< due or not
};

/// What a pass did.
struct PassResult : AttemptResult {
    std::uint64_t messages = 0;         ///< attempted
    std::uint64_t taken_by_others = 0;  ///< selected, but in another process's hands
    std::vector<Error> errors;          ///< files that could not be used
};

/// Attempts once what is selected, with the reports that come of it, and files that a process left
/// half taken. Messages that were held stay held. `Context::accepted` is replaced for the time of
/// the pass.
smtp::Task<PassResult> run_queue_pass(Context& context, Courier& courier,
                                      PickupCourier& pickup_courier, QueueSelection selection);

/// The messages that a pass would attempt, oldest first; nothing is claimed.
Result<std::vector<MessageId>> selected(const Context& context, const QueueSelection& selection);

}  // namespace mailroot::delivery
