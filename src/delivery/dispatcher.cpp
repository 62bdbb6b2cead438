#include "delivery/dispatcher.hpp"

#include <functional>
#include <utility>

namespace mailroot::delivery {

namespace {

// Put off in one go: others wait as long for the disk's threads.
constexpr std::size_t k_put_off = 500;

}  // namespace

DestinationNumber number_of(const std::string& destination) {
    return destination.empty() ? 0 : std::hash<std::string>{}(destination);
}

/// They take turns where both are there.
Mail Dispatcher::Line::next_mail() const {
    if (untried.empty()) return Mail::tried;
    return tried.empty() ? Mail::untried : turn;
}

/// What has no known destination goes to find it.
bool Dispatcher::Line::has_room(DestinationNumber destination) const {
    return destination == 0 || in_hand < room.messages;
}

void Dispatcher::waits(const MessageId& id, TimePoint due, DestinationNumber destination) {
    if (!in_line_.contains(id)) schedule_.set(id, due, destination);
}

void Dispatcher::found(const MessageId& id, TimePoint due, TimePoint now) {
    if (due <= now && schedule_.is_later(id, now)) {
        lines_[schedule_.destination_of(id)].asked_for = true;
    }
    waits(id, due);
}

Dispatcher::Next Dispatcher::next(TimePoint now, Time steady_now, TimePoint try_before) {
    fill_lines(now);
    while (!turns_.empty()) {
        const auto number = turns_.front();
        turns_.pop_front();
        auto& line = lines_[number];
        line.has_turn = false;
        if (line.is_empty()) {
            forget_stranger(number);
            continue;
        }
        if (steady_now < line.room.dead_until && !line.asked_for) {
            auto ids = take_younger(line, try_before);
            give_turn(number, line);
            if (!ids.empty()) return PutOff{number, std::move(ids)};
        }
        if (!line.has_room(number)) continue;
        const auto mail = line.next_mail();
        const Attempt attempt{take(line), mail, number, std::exchange(line.asked_for, false)};
        ++line.in_hand;
        give_turn(number, line);
        return attempt;
    }
    return {};
}

void Dispatcher::fill_lines(TimePoint now) {
    for (const auto mail : {Mail::untried, Mail::tried}) {
        while (count_in_line_[mail] < most_) {
            const auto due = schedule_.take_due(mail, now);
            if (!due) break;
            put_in_line(due->id, mail, due->destination);
        }
    }
}

void Dispatcher::put_in_line(const MessageId& id, Mail mail, DestinationNumber destination) {
    if (!in_line_.insert(id).second) return;
    schedule_.forget(id);
    ++count_in_line_[mail];
    auto& line = lines_[destination];
    line.mail(mail).push_back(id);
    give_turn(destination, line);
}

void Dispatcher::give_turn(DestinationNumber destination, Line& line) {
    if (line.is_empty() || std::exchange(line.has_turn, true)) return;
    turns_.push_back(destination);
}

MessageId Dispatcher::take(Line& line) {
    const auto mail = line.next_mail();
    line.turn = mail == Mail::tried ? Mail::untried : Mail::tried;
    const auto id = line.mail(mail).front();
    line.mail(mail).pop_front();
    in_line_.erase(id);
    --count_in_line_[mail];
    return id;
}

/// Those that came after `arrival`, up to the first that did not.
std::vector<MessageId> Dispatcher::take_younger(Line& line, TimePoint arrival) {
    std::vector<MessageId> ids;
    while (ids.size() < k_put_off && !line.is_empty() &&
           line.mail(line.next_mail()).front().arrival() > arrival) {
        ids.push_back(take(line));
    }
    return ids;
}

bool Dispatcher::take_place(DestinationNumber destination, Time now) {
    auto& line = lines_[destination];
    // Where nobody can be reached each has its verdict at once.
    const bool has_room = line.has_room(destination) || now < line.room.dead_until;
    if (has_room) ++line.in_hand;
    return has_room;
}

void Dispatcher::done(DestinationNumber place) {
    auto& line = lines_[place];
    --line.in_hand;
    give_turn(place, line);
    forget_stranger(place);
}

void Dispatcher::room(DestinationNumber destination, Room room) {
    auto& line = lines_[destination];
    if (room.dead_until > line.room.dead_until) line.asked_for = false;
    line.room = room;
    give_turn(destination, line);
    forget_stranger(destination);
}

/// A line that says nothing that a new one would not.
void Dispatcher::forget_stranger(DestinationNumber destination) {
    const auto found = lines_.find(destination);
    const auto& line = found->second;
    if (line.is_empty() && !line.has_turn && line.in_hand == 0 && line.room == Room{})
        lines_.erase(found);
}

std::optional<TimePoint> Dispatcher::next_due(TimePoint now) const {
    // What is due and not in line waits for one of those that are.
    const auto earliest = schedule_.earliest();
    return earliest && *earliest > now ? earliest : std::nullopt;
}

}  // namespace mailroot::delivery
