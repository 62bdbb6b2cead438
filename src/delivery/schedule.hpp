#pragma once

#include "core/clock.hpp"
#include "core/message_id.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>

namespace mailroot::delivery {

/// Stands for a destination's name where many are remembered. 0: not known. Two names of one number
/// would only share their turn.
using DestinationNumber = std::uint64_t;

struct HashOfId {
    std::size_t operator()(const MessageId& id) const { return id.hash(); }
};

/// New mail and mail that was tried before, as far as its time tells.
enum class Mail { untried, tried };

/// What waits in Queue and when it is due. A memory of what the folder said last, never the truth:
/// whoever acts on it claims the message first. Of a large queue it holds what is due soonest, of
/// new mail and of mail that was tried before as much of each, and knows from when on there is
/// more.
class Schedule {
 public:
    struct Entry {
        MessageId id;
        DestinationNumber destination;
    };

    /// Holds `most` messages of each kind: at about 120 octets each, that is all the memory a queue
    /// takes.
    explicit Schedule(std::size_t most) : most_(most) {}

    /// Remembers, or corrects, when a message is due; what its destination is, where that is known
    /// now.
    void set(const MessageId& id, TimePoint due, DestinationNumber destination = 0);
    void forget(const MessageId& id);

    /// Whether a message is held that is due only then or later.
    [[nodiscard]] bool is_later(const MessageId& id, TimePoint than) const;

    [[nodiscard]] DestinationNumber destination_of(const MessageId& id) const;

    /// When the first is due.
    [[nodiscard]] std::optional<TimePoint> earliest() const;

    /// Takes out the first one of a kind that is due by `now`.
    std::optional<Entry> take_due(Mail mail, TimePoint now);

    /// A look at the whole folder begins, which will tell of all that is not held.
    void look_begins();

    /// When a look at the folder is needed: there is room, and what was not held gets due.
    [[nodiscard]] std::optional<TimePoint> look_needed() const;

    [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
    struct Known {
        TimePoint due;
        DestinationNumber destination;
    };
    struct Kind {
        std::set<std::pair<TimePoint, MessageId>> order;
        std::optional<TimePoint> more_from;  ///< the earliest of those that are not held
    };

    Kind& kind_of(const MessageId& id, TimePoint due);

    const std::size_t most_;
    std::unordered_map<MessageId, Known, HashOfId> known_;
    Kind untried_;
    Kind tried_;
};

}  // namespace mailroot::delivery
