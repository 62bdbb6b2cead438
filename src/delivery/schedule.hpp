#pragma once

#include "core/clock.hpp"
#include "core/message_id.hpp"

#include <optional>
#include <set>
#include <unordered_map>

namespace mailroot::delivery {

/// What waits in Queue and when it is due. A memory of what the folder said last, never the truth:
/// whoever acts on it claims the message first. Of a large queue it holds what is due soonest, and
/// knows from when on there is more.
class Schedule {
 public:
    /// Holds `most` messages: at about 120 octets each, that is all the memory a queue takes.
    explicit Schedule(std::size_t most) : most_(most) {}

    /// Remembers, or corrects, when a message is due.
    void set(const MessageId& id, TimePoint due);
    void forget(const MessageId& id);

    /// When the first is due.
    [[nodiscard]] std::optional<TimePoint> earliest() const;

    /// Takes out the first one due by `now`.
    std::optional<MessageId> take_due(TimePoint now);

    /// A look at the whole folder begins, which will tell of all that is not held.
    void look_begins() { more_from_.reset(); }

    /// When a look at the folder is needed: there is room, and what was not held gets due.
    [[nodiscard]] std::optional<TimePoint> look_needed() const;

    [[nodiscard]] std::size_t size() const { return due_.size(); }

 private:
    struct Hash {
        std::size_t operator()(const MessageId& id) const { return id.hash(); }
    };

    const std::size_t most_;
    std::unordered_map<MessageId, TimePoint, Hash> due_;
    std::set<std::pair<TimePoint, MessageId>> order_;
    std::optional<TimePoint> more_from_;  ///< the earliest of those that are not held
};

}  // namespace mailroot::delivery
