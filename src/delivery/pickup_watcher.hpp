#pragma once

#include "delivery/arrivals.hpp"
#include "delivery/context.hpp"
#include "delivery/folder_events.hpp"
#include "smtp/loop.hpp"

#include <functional>
#include <optional>

namespace mailroot::delivery {

/// Has the files of Pickup taken and attempted as they become whole, in order of arrival: by the
/// system's events, and by a look at the whole folder every `pickup.rescan`, which alone does it
/// where there are none.
class PickupWatcher {
 public:
    /// All must outlive it. `waits` is told of messages that wait in Queue afterwards.
    PickupWatcher(const Context& context, Reactor& reactor, PickupCourier& courier,
                  smtp::TaskGroup& attempts,
                  std::function<void(const MessageId&, TimePoint)> waits);

    /// Takes files until stop().
    smtp::Task<void> run();
    void stop();

 private:
    void heard(const FolderEvents::Event& event);
    void look_soon();
    smtp::Task<void> keep_looking();
    smtp::Task<void> look();

    const Context& context_;
    FolderEvents events_;
    Arrivals arrivals_;
    std::optional<folders::Pickup::Entry> last_found_;  ///< where the next look goes on
    Complaints complaints_;
    smtp::Signal changed_;
    bool look_wanted_ = false;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
