#pragma once

#include "delivery/context.hpp"
#include "delivery/destinations.hpp"
#include "delivery/legs.hpp"
#include "delivery/report_limit.hpp"
#include "delivery/retry_policy.hpp"
#include "delivery/returner.hpp"
#include "delivery/router.hpp"
#include "folders/queue.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// What one attempt came to. Counts recipients; `badmail` counts files.
struct AttemptResult {
    std::uint64_t delivered = 0;
    std::uint64_t deferred = 0;
    std::uint64_t failed = 0;
    std::uint64_t badmail = 0;
    std::optional<TimePoint> next_attempt;  ///< where something waits in Queue
    std::string destination;  ///< the message's; k_several; empty: only Drop, or none is known
    bool crowded = false;     ///< that one had no room: nothing was done

    /// Adds up the counts.
    AttemptResult& operator+=(const AttemptResult& other);
};

/// Stands for the destination of a message that has several.
inline constexpr const char* k_several = "several";

/// What is special about an attempt.
struct AttemptOptions {
    std::shared_ptr<const Called> called{};  ///< a host asks for this just now
    bool asked_for = false;  ///< somebody does: tried where nobody was reached just before, too
    /// Whether a destination, or k_several, has room for another message; none: it has.
    std::function<bool(const std::string& destination)> has_room{};
};

/// Attempts messages of Queue. Whoever has claimed one hands it over here; when attempt() returns
/// the message is settled, or waits with its history and time, and its claim is gone.
class Courier {
 public:
    /// All must outlive the courier.
    Courier(const Context& context, Router& router, Destinations& destinations)
        : context_(context), router_(router), destinations_(destinations) {}

    smtp::Task<AttemptResult> attempt(folders::QueuedMessage message, AttemptOptions options);
    smtp::Task<AttemptResult> attempt(folders::QueuedMessage message) {
        return attempt(std::move(message), AttemptOptions{});
    }

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
    void judge(Round& round, std::size_t index) const;
    void owe_success(Round& round, std::size_t index, const Verdict& verdict) const;
    smtp::Task<void> remember(Round& round);
    void judge_success(Round& round, std::size_t index) const;
    void judge_delay(Round& round, std::size_t index) const;
    smtp::Task<void> tell_sender(Round& round);
    [[nodiscard]] Returner::Limit take_report(const Round& round);
    smtp::Task<void> defer(Round& round);
    [[nodiscard]] RetryPolicy policy_of(const Round& round, std::size_t recipient) const;
    [[nodiscard]] TimePoint next_turn(const Round& round, TimePoint now, int attempts) const;
    smtp::Task<void> remove(Round& round);
    smtp::Task<void> settle(Round& round, const std::vector<std::size_t>& recipients);

    const Context& context_;
    Router& router_;
    Destinations& destinations_;
    ReportLimit report_limit_;
};

}  // namespace mailroot::delivery
