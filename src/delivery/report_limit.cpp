#include "delivery/report_limit.hpp"

namespace mailroot::delivery {

bool ReportLimit::take(const Rate& rate, const Address& sender, TimePoint now) {
    if (rate.count == 0) return true;
    // Once a span: then no more are looked at than came meanwhile, and those that stay.
    if (forgetting_.is_over(rate, now)) {
        forgetting_.began = now;
        std::erase_if(senders_, [&](const auto& entry) { return entry.second.is_over(rate, now); });
    }
    auto& window = senders_[lower_case(sender.text())];
    if (window.is_over(rate, now)) window = {now, 0};
    if (window.count >= rate.count) return false;
    ++window.count;
    return true;
}

}  // namespace mailroot::delivery
