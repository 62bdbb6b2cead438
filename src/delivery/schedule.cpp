#include "delivery/schedule.hpp"

namespace mailroot::delivery {

void Schedule::set(const MessageId& id, TimePoint due) {
    forget(id);
    due_.emplace(id, due);
    order_.emplace(due, id);
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

}  // namespace mailroot::delivery
