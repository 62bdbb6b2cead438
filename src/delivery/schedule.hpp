#pragma once

#include "core/clock.hpp"
#include "core/message_id.hpp"

#include <map>
#include <optional>
#include <set>

namespace mailroot::delivery {

/// What waits in Queue and when it is due. A memory of what the folder said last, never the truth:
/// whoever acts on it claims the message first.
class Schedule {
 public:
    /// Remembers, or corrects, when a message is due.
    void set(const MessageId& id, TimePoint due);
    void forget(const MessageId& id);

    /// When the first is due.
    [[nodiscard]] std::optional<TimePoint> earliest() const;

    /// Takes out the first one due by `now`.
    std::optional<MessageId> take_due(TimePoint now);

    [[nodiscard]] std::size_t size() const { return due_.size(); }

 private:
    std::map<MessageId, TimePoint> due_;
    std::set<std::pair<TimePoint, MessageId>> order_;
};

}  // namespace mailroot::delivery
