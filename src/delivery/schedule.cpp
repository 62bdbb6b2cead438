#include "delivery/schedule.hpp"

#include <algorithm>

namespace mailroot::delivery {

void Schedule::set(const MessageId& id, TimePoint due) {
    const auto [known, added] = due_.try_emplace(id, due);
    if (!added) {
        if (known->second == due) return;
        order_.erase({known->second, id});
        known->second = due;
    }
    order_.emplace(due, id);
    if (order_.size() <= most_) return;
    const auto latest = *order_.rbegin();
    more_from_ = std::min(more_from_.value_or(latest.first), latest.first);
    forget(latest.second);
}

void Schedule::forget(const MessageId& id) {
    const auto found = due_.find(id);
    if (found == due_.end()) return;
    order_.erase({found->second, id});
    due_.erase(found);
}

std::optional<TimePoint> Schedule::earliest() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->first;
}

std::optional<MessageId> Schedule::take_due(TimePoint now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    const auto id = order_.begin()->second;
    forget(id);
    return id;
}

std::optional<TimePoint> Schedule::look_needed() const {
    if (!more_from_ || order_.size() > most_ / 2) return std::nullopt;
    return more_from_;
}

}  // namespace mailroot::delivery
