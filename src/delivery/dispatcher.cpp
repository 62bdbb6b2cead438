#include "delivery/dispatcher.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

namespace mailroot::delivery {

namespace {

// Put off in one go: others wait as long for the disk's threads.
constexpr std::size_t k_put_off = 500;

// In hand, of those that the service may have: more only to each its least.
constexpr std::size_t k_most_freely = 500;

// What is due beyond that waits in the schedule, so that one host cannot fill all there is.
constexpr std::size_t k_longest_line = 5000;
constexpr std::chrono::seconds k_until_line_is_shorter{2};

}  // namespace

DestinationNumber number_of(const std::string& destination) {
    return destination.empty() ? 0 : std::hash<std::string>{}(destination);
}

/// They take turns where both are there.
Mail Dispatcher::Line::next_mail() const {
    if (untried.empty()) return Mail::tried;
    return tried.empty() ? Mail::untried : turn;
}

/// What has no known destination goes to find it. However slow all others are, each has what keeps
/// one connection busy.
bool Dispatcher::has_room(DestinationNumber destination, const Line& line) const {
    if (destination == 0) return true;
    const auto least = std::min(line.room.messages, Destinations::k_room_of_connection);
    return line.in_hand < (in_hand_ < k_most_freely ? line.room.messages : least);
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
            if (!ids.empty()) {
                give_turn(number, line);
                return PutOff{number, std::move(ids)};
            }
        }
        // done() or room() gives it its turn again.
        if (!has_room(number, line)) continue;
        const auto mail = line.next_mail();
        const Attempt attempt{take(line), mail, number, std::exchange(line.asked_for, false)};
        hold(line);
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
            if (due->destination != 0 && lines_[due->destination].size() >= k_longest_line) {
                schedule_.set(due->id, now + k_until_line_is_shorter, due->destination);
            } else {
                put_in_line(due->id, mail, due->destination);
            }
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
    const bool free = has_room(destination, line) || now < line.room.dead_until;
    if (free) hold(line);
    return free;
}

void Dispatcher::hold(Line& line) {
    ++line.in_hand;
    ++in_hand_;
}

void Dispatcher::done(DestinationNumber place) {
    auto& line = lines_[place];
    --line.in_hand;
    give_turn(place, line);
    // All have a say again in what is left.
    if (in_hand_-- == k_most_freely) {
        for (auto& [number, other] : lines_) give_turn(number, other);
    }
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
