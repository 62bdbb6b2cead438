#include "delivery/retry_policy.hpp"

#include <algorithm>

namespace mailroot::delivery {

TimePoint next_attempt(const config::Settings::Delivery& policy, TimePoint now, int attempts,
                       double jitter) {
    const auto step =
        std::clamp<std::size_t>(static_cast<std::size_t>(attempts), 1, policy.retry.size());
    const std::chrono::duration<double, std::milli> delay = policy.retry[step - 1];
    return now + std::chrono::duration_cast<TimePoint::duration>(delay * (1 + 0.1 * jitter));
}

bool is_expired(const config::Settings::Delivery& policy, TimePoint arrival, TimePoint now) {
    return now - arrival >= policy.expire;
}

}  // namespace mailroot::delivery
