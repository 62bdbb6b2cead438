#pragma once

#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "delivery/courier.hpp"
#include "delivery/pickup_courier.hpp"
#include "delivery/schedule.hpp"
#include "smtp/loop.hpp"

#include <set>
#include <string>

namespace mailroot::delivery {

/// Attempts what is due in Queue, for as long as the service runs.
class QueueRunner {
 public:
    /// All must outlive it; `attempts` bounds how much is in hand at once, here and elsewhere.
    QueueRunner(const Context& context, Courier& courier, PickupCourier& pickup_courier,
                smtp::TaskGroup& attempts);

    /// Attempts until stop().
    smtp::Task<void> run();
    void stop();

    /// A message waits in Queue until then.
    void waits(const MessageId& id, TimePoint due);

    /// Reads the folder: what waits and until when, what a crash left half taken, what was laid in
    /// by hand.
    smtp::Task<void> rescan();

 private:
    struct Found;

    smtp::Task<void> attempt(MessageId id);
    smtp::Task<void> resume(MessageId id);
    smtp::Task<void> adopt(std::string name);
    smtp::Task<void> attempt_file(folders::TakenPickup file);
    void remember(const MessageId& id, const AttemptResult& result);

    const Context& context_;
    Courier& courier_;
    PickupCourier& pickup_courier_;
    smtp::TaskGroup& attempts_;
    Schedule schedule_;
    std::set<MessageId> active_;  ///< in hand here
    Complaints complaints_;
    smtp::Signal changed_;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
