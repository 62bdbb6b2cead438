#pragma once

#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "delivery/pickup_courier.hpp"
#include "folders/pickup.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace mailroot::delivery {

/// Files that others laid into Pickup or Queue: followed until each is whole, then taken, in the
/// order in which they are told of, and attempted. None waits for another.
class Arrivals {
 public:
    /// How many files are followed at once. What there is beyond is left to a later look at the
    /// folder.
    static constexpr std::size_t k_most = 20'000;

    /// All must outlive it. `waits` is told of messages that wait in Queue afterwards; `look_again`
    /// is called when there is room again for files that could not be followed.
    Arrivals(const Context& context, folders::Pickup::Place place, PickupCourier& courier,
             smtp::TaskGroup& attempts, std::function<void(const MessageId&, TimePoint)> waits,
             std::function<void()> look_again);

    /// An event told that the writer of a file closed it, or moved it in.
    void closed(const std::string& name);

    /// A look at the folder found a file. False where too many are followed already.
    bool found(const std::string& name);

    /// The look did not tell of all: `look_again` is called once there is room.
    void more_there();

    /// A look at the folder begins: what was put back may be tried again.
    void look_begins() { resting_.clear(); }

    /// Takes files until stop().
    smtp::Task<void> run();
    void stop();

 private:
    using SteadyPoint = std::chrono::steady_clock::time_point;

    /// A file that is not taken yet.
    struct Candidate {
        bool closed = false;               ///< an event told so
        bool to_try = false;               ///< named in `to_try_`
        bool in_hand = false;              ///< being tried right now
        std::optional<os::FileInfo> seen;  ///< how it has looked ever since `since`
        SteadyPoint since;
    };

    Candidate* follow(const std::string& name);
    void try_soon(const std::string& name, Candidate& candidate);
    void try_settled();
    [[nodiscard]] bool any_growing() const;
    smtp::Task<void> take(std::string name);
    smtp::Task<void> attempt(folders::TakenPickup file, std::string name);
    void look_again_at(const std::string& name, const os::FileInfo& info);
    void forget(const std::string& name);
    void ask_for_more();

    const Context& context_;
    const folders::Pickup pickup_;
    PickupCourier& courier_;
    smtp::TaskGroup& attempts_;
    const std::function<void(const MessageId&, TimePoint)> waits_;
    const std::function<void()> look_again_;
    std::map<std::string, Candidate> candidates_;
    bool more_there_ = false;         ///< in the folder than are followed
    std::deque<std::string> to_try_;  ///< names among the candidates
    std::set<std::string> resting_;   ///< under attempt, or put back: not before the next look
    Complaints complaints_;
    smtp::Signal changed_;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
