#pragma once

#include "core/reactor.hpp"
#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "delivery/pickup_courier.hpp"
#include "folders/pickup.hpp"
#include "os/folder_watch.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace mailroot::delivery {

/// Takes files from Pickup as they become whole, and has them attempted.
class PickupWatcher {
 public:
    /// All must outlive it. `waits` is told of messages that wait in Queue afterwards.
    PickupWatcher(const Context& context, Reactor& reactor, PickupCourier& courier,
                  smtp::TaskGroup& attempts,
                  std::function<void(const MessageId&, TimePoint)> waits);
    ~PickupWatcher();

    /// Asks the system for events. Where it gives none, rescan() does the work alone; said in the
    /// log.
    void watch();

    /// Takes files until stop().
    smtp::Task<void> run();
    void stop();

    /// Looks at the whole folder.
    smtp::Task<void> rescan();

 private:
    using SteadyPoint = std::chrono::steady_clock::time_point;

    /// A file that is not taken yet.
    struct Candidate {
        bool closed = false;               ///< an event told so
        bool in_hand = false;              ///< being tried right now
        std::optional<os::FileInfo> seen;  ///< how it has looked ever since `since`
        SteadyPoint since;
    };

    void on_events();
    void try_soon(const std::string& name);
    void try_settled();
    [[nodiscard]] bool any_growing() const;
    smtp::Task<void> take(std::string name);
    smtp::Task<void> attempt(folders::TakenPickup file, std::string name);
    void look_again(const std::string& name, const os::FileInfo& info);

    const Context& context_;
    Reactor& reactor_;
    PickupCourier& courier_;
    smtp::TaskGroup& attempts_;
    const std::function<void(const MessageId&, TimePoint)> waits_;
    std::optional<os::FolderWatch> watch_;
    std::map<std::string, Candidate> candidates_;
    std::deque<std::string> to_try_;  ///< names among the candidates
    std::set<std::string> resting_;   ///< under attempt, or put back: not before the next rescan
    Complaints complaints_;
    smtp::Signal changed_;
    bool events_lost_ = false;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
