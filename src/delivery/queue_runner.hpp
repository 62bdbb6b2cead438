#pragma once

#include "delivery/arrivals.hpp"
#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "delivery/courier.hpp"
#include "delivery/dispatcher.hpp"
#include "delivery/folder_events.hpp"
#include "delivery/pickup_courier.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <string>

namespace mailroot::delivery {

/// Attempts what is due in Queue, for as long as the service runs. What waits it knows from those
/// who put it there, from the system's events, and from looks at the whole folder.
class QueueRunner {
 public:
    /// All must outlive it; `attempts` bounds how much is in hand at once, here and elsewhere.
    QueueRunner(const Context& context, Reactor& reactor, Courier& courier,
                PickupCourier& pickup_courier, smtp::TaskGroup& attempts);
    ~QueueRunner();
    QueueRunner(const QueueRunner&) = delete;
    QueueRunner& operator=(const QueueRunner&) = delete;

    /// Attempts until stop().
    smtp::Task<void> run();
    void stop();

    /// A message waits in Queue until then.
    void waits(const MessageId& id, TimePoint due);

    /// Attempts a message though it may not be due, for its host asks for it; not where it is held
    /// or in hand.
    smtp::Task<void> attempt_called(MessageId id, std::shared_ptr<const Called> called);

 private:
    smtp::Task<void> attempt_due();
    bool start_next(TimePoint now);
    void start(const Dispatcher::Attempt& next);
    [[nodiscard]] TimePoint try_before() const;
    smtp::Task<void> attempt(Dispatcher::Attempt next, TimePoint due_by, AttemptOptions options);
    smtp::Task<void> keep_putting_off();
    smtp::Task<void> put_off(Dispatcher::PutOff order);
    smtp::Task<void> resume(MessageId id);
    void done_with(const MessageId& id);

    smtp::Task<void> keep_looking();
    [[nodiscard]] std::chrono::milliseconds until_look() const;
    void look_soon();
    smtp::Task<void> look();
    smtp::Task<void> look_at_heard();
    void heard(const FolderEvents::Event& event);
    void take_in(const folders::Queue::Portion& portion);

    using SteadyPoint = std::chrono::steady_clock::time_point;

    const Context& context_;
    Courier& courier_;
    PickupCourier& pickup_courier_;
    smtp::TaskGroup& attempts_;
    FolderEvents events_;
    Arrivals by_hand_;  ///< files with names that are not ours
    Dispatcher dispatcher_;
    std::deque<Dispatcher::PutOff> to_put_off_;
    std::set<std::string> own_changes_;      ///< names whose events tell of our own doing
    std::set<MessageId> to_resume_;          ///< pickup files that a process left half sent
    std::set<MessageId> active_;             ///< in hand here
    std::set<MessageId> changed_meanwhile_;  ///< of the active ones
    std::set<std::string> heard_;            ///< names that events told, to be looked at
    SteadyPoint next_look_{};                ///< at the whole folder
    Complaints complaints_;
    smtp::Signal changed_;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
