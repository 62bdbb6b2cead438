#pragma once

#include "delivery/context.hpp"
#include "delivery/destinations.hpp"
#include "delivery/legs.hpp"
#include "delivery/router.hpp"
#include "folders/queue.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace mailroot::delivery {

/// What one attempt came to. Counts recipients; `badmail` counts files.
struct AttemptResult {
    std::uint64_t delivered = 0;
    std::uint64_t deferred = 0;
    std::uint64_t failed = 0;
    std::uint64_t badmail = 0;
    std::optional<TimePoint> next_attempt;  ///< where something waits in Queue

    AttemptResult& operator+=(const AttemptResult& other);
};

/// Attempts messages of Queue. Whoever has claimed one hands it over here; when attempt() returns
/// the message is settled, or waits with its history and time, and its claim is gone.
class Courier {
 public:
    /// All must outlive the courier.
    Courier(const Context& context, Router& router, Destinations& destinations)
        : context_(context), router_(router), destinations_(destinations) {}

    /// `called` is what a host asks for just now, with the connection it may be asked over.
    smtp::Task<AttemptResult> attempt(folders::QueuedMessage message,
                                      std::shared_ptr<const Called> called = nullptr);

    /// The same for a message that was tried already: `verdicts` are those of its recipients, one
    /// each.
    smtp::Task<AttemptResult> conclude(folders::QueuedMessage message,
                                       std::vector<Verdict> verdicts);

    [[nodiscard]] Router& router() const { return router_; }
    [[nodiscard]] Destinations& destinations() const { return destinations_; }

 private:
    struct Round;

    smtp::Task<bool> finish_hand_overs(Round& round);
    smtp::Task<void> run_leg(Round& round, Leg leg);
    smtp::Task<void> run_turned_legs(Round& round, std::vector<Leg> legs, const Called& called);
    smtp::Task<void> deliver_locally(Round& round, const Leg& leg);
    smtp::Task<Verdict> drop(Round& round, const Leg& leg);
    smtp::Task<void> record(Round& round, const Leg& leg, std::vector<Verdict> verdicts);
    smtp::Task<AttemptResult> finish(Round& round);
    smtp::Task<void> give_back(Round& round);
    smtp::Task<void> defer(Round& round);
    smtp::Task<void> remove(Round& round);
    smtp::Task<void> settle(Round& round, const std::vector<std::size_t>& recipients);

    const Context& context_;
    Router& router_;
    Destinations& destinations_;
};

}  // namespace mailroot::delivery
