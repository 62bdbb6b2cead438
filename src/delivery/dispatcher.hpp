#pragma once

#include "core/clock.hpp"
#include "core/message_id.hpp"
#include "delivery/destinations.hpp"
#include "delivery/schedule.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace mailroot::delivery {

/// The number of a destination's name; 0 for an empty one.
[[nodiscard]] DestinationNumber number_of(const std::string& destination);

/// Decides which message of Queue is attempted next. What is due stands in line for its
/// destination, as far as that is known from an earlier attempt. Destinations take turns, and have
/// no more in hand than they have room for; in each line new mail and mail that was tried before
/// take turns. Ids and numbers alone: no file is touched, time is an argument.
class Dispatcher {
 public:
    using Time = Destinations::Time;
    using Room = Destinations::Room;

    /// Attempt this, then done() with the place it has.
    struct Attempt {
        MessageId id;
        Mail mail;
        DestinationNumber place;
        bool asked_for;  ///< also where nobody was reached just before
    };
    /// Nobody can be reached: put these off.
    struct PutOff {
        DestinationNumber destination;
        std::vector<MessageId> ids;
    };
    using Next = std::variant<std::monostate, Attempt, PutOff>;

    /// Holds `most` messages that are due and `most` that are not, of each kind.
    explicit Dispatcher(std::size_t most) : schedule_(most), most_(most) {}

    /// A message waits until then, for that destination where it is known.
    void waits(const MessageId& id, TimePoint due, DestinationNumber destination = 0);
    void forget(const MessageId& id) { schedule_.forget(id); }

    /// The folder was looked at: a message is due then. Where it was to wait longer by what we
    /// know, somebody asks for it.
    void found(const MessageId& id, TimePoint due, TimePoint now);

    /// What is to be done now, if anything. A message that arrived before `try_before` is attempted
    /// even where nobody can be reached, so that it is judged.
    Next next(TimePoint now, Time steady_now, TimePoint try_before);

    /// When there may be something to be done again, unless something changes before.
    [[nodiscard]] std::optional<TimePoint> next_due(TimePoint now) const;

    /// Takes a place for a message in hand; false where there is no room.
    bool take_place(DestinationNumber destination, Time now);
    /// Gives a place back.
    void done(DestinationNumber place);

    /// A message that is due waits for its destination to have room.
    void put_in_line(const MessageId& id, Mail mail, DestinationNumber destination);

    /// The room of a destination is another one.
    void room(DestinationNumber destination, Room room);

    void look_begins() { schedule_.look_begins(); }
    [[nodiscard]] std::optional<TimePoint> look_needed() const { return schedule_.look_needed(); }

 private:
    struct Line {
        std::deque<MessageId> untried;
        std::deque<MessageId> tried;
        Mail turn = Mail::untried;  ///< who is next
        bool has_turn = false;      ///< named in turns_
        bool asked_for = false;     ///< its next message is
        std::size_t in_hand = 0;
        Room room;

        [[nodiscard]] std::size_t size() const { return untried.size() + tried.size(); }
        [[nodiscard]] bool is_empty() const { return size() == 0; }
        std::deque<MessageId>& mail(Mail mail) { return mail == Mail::tried ? tried : untried; }
        [[nodiscard]] Mail next_mail() const;
    };

    void fill_lines(TimePoint now);
    [[nodiscard]] bool has_room(DestinationNumber destination, const Line& line) const;
    void hold(Line& line);
    void give_turn(DestinationNumber destination, Line& line);
    MessageId take(Line& line);
    std::vector<MessageId> take_younger(Line& line, TimePoint arrival);
    void forget_stranger(DestinationNumber destination);

    Schedule schedule_;
    const std::size_t most_;
    std::unordered_map<DestinationNumber, Line> lines_;
    std::deque<DestinationNumber> turns_;  ///< lines that may have something to do
    std::size_t in_hand_ = 0;              ///< of all lines
    std::unordered_set<MessageId, HashOfId> in_line_;
    std::map<Mail, std::size_t> count_in_line_;
};

}  // namespace mailroot::delivery
