#include "delivery/schedule.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;

// A message is due as it arrives, and afterwards by the schedule of retries, which takes longer.
constexpr auto k_new_for = 1min;

}  // namespace

Schedule::Kind& Schedule::kind_of(const MessageId& id, TimePoint due) {
    return due - id.arrival() < k_new_for ? untried_ : tried_;
}

void Schedule::set(const MessageId& id, TimePoint due, DestinationNumber destination) {
    const auto found = known_.find(id);
    if (found != known_.end()) {
        if (destination == 0) destination = found->second.destination;
        forget(id);
    }
    known_.emplace(id, Known{due, destination});
    auto& [order, more_from] = kind_of(id, due);
    order.emplace(due, id);
    if (order.size() <= most_) return;
    const auto latest = *order.rbegin();
    more_from = std::min(more_from.value_or(latest.first), latest.first);
    forget(latest.second);
}

void Schedule::forget(const MessageId& id) {
    const auto found = known_.find(id);
    if (found == known_.end()) return;
    kind_of(id, found->second.due).order.erase({found->second.due, id});
    known_.erase(found);
}

bool Schedule::is_later(const MessageId& id, TimePoint than) const {
    const auto found = known_.find(id);
    return found != known_.end() && found->second.due > than;
}

DestinationNumber Schedule::destination_of(const MessageId& id) const {
    const auto found = known_.find(id);
    return found == known_.end() ? 0 : found->second.destination;
}

std::optional<TimePoint> Schedule::earliest() const {
    std::optional<TimePoint> earliest;
    for (const auto* kind : {&untried_, &tried_}) {
        if (kind->order.empty()) continue;
        const auto first = kind->order.begin()->first;
        earliest = std::min(earliest.value_or(first), first);
    }
    return earliest;
}

std::optional<Schedule::Entry> Schedule::take_due(Mail mail, TimePoint now) {
    const auto& order = (mail == Mail::untried ? untried_ : tried_).order;
    if (order.empty() || order.begin()->first > now) return std::nullopt;
    const auto id = order.begin()->second;
    const Entry entry{id, known_.at(id).destination};
    forget(id);
    return entry;
}

void Schedule::look_begins() {
    untried_.more_from.reset();
    tried_.more_from.reset();
}

std::optional<TimePoint> Schedule::look_needed() const {
    std::optional<TimePoint> needed;
    for (const auto* kind : {&untried_, &tried_}) {
        if (!kind->more_from || kind->order.size() > most_ / 2) continue;
        needed = std::min(needed.value_or(*kind->more_from), *kind->more_from);
    }
    return needed;
}

}  // namespace mailroot::delivery
