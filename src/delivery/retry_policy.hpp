#pragma once

#include "config/settings.hpp"
#include "core/clock.hpp"

#include <chrono>
#include <span>

namespace mailroot::delivery {

/// How recipients of one kind, in local domains or elsewhere, are tried again and given up.
struct RetryPolicy {
    std::span<const std::chrono::milliseconds> retry;  ///< waits; the last one repeats
    std::chrono::milliseconds delay_notice;  ///< age at which their sender is told; 0: never
    std::chrono::milliseconds expire;        ///< age at which they are given up
};

/// The policy that the settings have; they must outlive it.
[[nodiscard]] RetryPolicy retry_policy(const config::Settings::Delivery& settings, bool local);

/// When to try again after `attempts` attempts (at least one): the step of the schedule, its last
/// one again and again, stretched or shortened by up to a tenth so that what failed together does
/// not come back together. `jitter` is drawn from [-1, 1].
[[nodiscard]] TimePoint next_attempt(const RetryPolicy& policy, TimePoint now, int attempts,
                                     double jitter);

/// The same for a message whose attempts were not counted, for nobody could be reached: its age
/// says how many there would have been.
[[nodiscard]] TimePoint next_attempt_by_age(const RetryPolicy& policy, TimePoint arrival,
                                            TimePoint now, double jitter);

/// No message that was deferred comes back before this.
[[nodiscard]] std::chrono::milliseconds shortest_wait(const RetryPolicy& policy);

/// Whether it is time to tell the sender that it takes longer.
[[nodiscard]] bool is_late(const RetryPolicy& policy, TimePoint arrival, TimePoint now);

/// Whether it is time to give up. Asked only after an attempt failed: an outage of ours expires
/// nothing untried.
[[nodiscard]] bool is_expired(const RetryPolicy& policy, TimePoint arrival, TimePoint now);

}  // namespace mailroot::delivery
