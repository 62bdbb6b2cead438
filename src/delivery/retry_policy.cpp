#include "delivery/retry_policy.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

constexpr double k_jitter = 0.1;

}  // namespace

RetryPolicy retry_policy(const config::Settings::Delivery& settings, bool local) {
    if (local) return {settings.local_retry, settings.local_delay_notice, settings.local_expire};
    return {settings.retry, settings.delay_notice, settings.expire};
}

TimePoint next_attempt(const RetryPolicy& policy, TimePoint now, int attempts, double jitter) {
    const auto step =
        std::clamp<std::size_t>(static_cast<std::size_t>(attempts), 1, policy.retry.size());
    const std::chrono::duration<double, std::milli> delay = policy.retry[step - 1];
    return now + std::chrono::duration_cast<TimePoint::duration>(delay * (1 + k_jitter * jitter));
}

TimePoint next_attempt_by_age(const RetryPolicy& policy, TimePoint arrival, TimePoint now,
                              double jitter) {
    int attempts = 1;
    auto due = arrival;
    for (const auto step : policy.retry) {
        due += step;
        if (due > now) break;
        ++attempts;
    }
    return next_attempt(policy, now, attempts, jitter);
}

std::chrono::milliseconds shortest_wait(const RetryPolicy& policy) {
    const std::chrono::duration<double, std::milli> shortest =
        *std::ranges::min_element(policy.retry);
    return std::chrono::duration_cast<std::chrono::milliseconds>(shortest * (1 - k_jitter));
}

bool is_late(const RetryPolicy& policy, TimePoint arrival, TimePoint now) {
    return policy.delay_notice.count() > 0 && now - arrival >= policy.delay_notice;
}

bool is_expired(const RetryPolicy& policy, TimePoint arrival, TimePoint now) {
    return now - arrival >= policy.expire;
}

}  // namespace mailroot::delivery
