#include "delivery/arrivals.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

using std::chrono::steady_clock;

// However short `pickup.settle` is, a growing file is not looked at without a break.
constexpr std::chrono::milliseconds k_shortest_look{100};

}  // namespace

Arrivals::Arrivals(const Context& context, folders::Pickup::Place place, PickupCourier& courier,
                   smtp::TaskGroup& attempts,
                   std::function<void(const MessageId&, TimePoint)> waits,
                   std::function<void()> look_again)
    : context_(context),
      pickup_(context.mailroot, place),
      courier_(courier),
      attempts_(attempts),
      waits_(std::move(waits)),
      look_again_(std::move(look_again)),
      complaints_(context.log),
      changed_(context.loop) {}

void Arrivals::closed(const std::string& name) {
    if (!pickup_.is_candidate(name)) return;
    auto* const candidate = follow(name);
    if (candidate == nullptr) return;
    candidate->closed = true;
    if (!resting_.contains(name)) try_soon(name, *candidate);
}

bool Arrivals::found(const std::string& name) {
    auto* const candidate = follow(name);
    if (candidate != nullptr) try_soon(name, *candidate);
    return candidate != nullptr;
}

void Arrivals::more_there() {
    more_there_ = true;
    ask_for_more();
}

void Arrivals::ask_for_more() {
    if (!more_there_ || candidates_.size() > k_most / 2) return;
    more_there_ = false;
    look_again_();
}

/// The candidate of that name, or none where there are too many.
Arrivals::Candidate* Arrivals::follow(const std::string& name) {
    const auto known = candidates_.find(name);
    if (known != candidates_.end()) return &known->second;
    if (candidates_.size() < k_most) return &candidates_[name];
    more_there_ = true;
    return nullptr;
}

void Arrivals::forget(const std::string& name) {
    candidates_.erase(name);
    ask_for_more();
}

void Arrivals::try_soon(const std::string& name, Candidate& candidate) {
    if (candidate.in_hand || std::exchange(candidate.to_try, true)) return;
    to_try_.push_back(name);
    changed_.notify();
}

void Arrivals::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> Arrivals::run() {
    while (!stopping_) {
        if (!to_try_.empty()) {
            // Files wait in their folder until there is room for them.
            co_await attempts_.room();
            if (stopping_) break;
            attempts_.start(take(std::move(to_try_.front())));
            to_try_.pop_front();
        } else if (any_growing()) {
            co_await changed_.wait_for(std::max(context_.settings.pickup.settle, k_shortest_look));
            try_settled();
        } else {
            co_await changed_.wait();
        }
    }
}

bool Arrivals::any_growing() const {
    return std::ranges::any_of(candidates_, [](const auto& candidate) {
        return candidate.second.seen && !candidate.second.in_hand;
    });
}

void Arrivals::try_settled() {
    const auto settled = steady_clock::now() - context_.settings.pickup.settle;
    for (auto& [name, candidate] : candidates_) {
        if (candidate.seen && candidate.since <= settled) try_soon(name, candidate);
    }
}

smtp::Task<void> Arrivals::take(std::string name) {
    const auto known = candidates_.find(name);
    if (known == candidates_.end()) co_return;
    auto& candidate = known->second;
    candidate.to_try = false;
    candidate.in_hand = true;
    const auto settle = context_.settings.pickup.settle;
    const auto now = steady_clock::now();
    const bool settled = candidate.seen && candidate.since + settle <= now;
    const folders::Pickup::Evidence evidence{std::exchange(candidate.closed, false),
                                             settled ? candidate.seen : std::nullopt,
                                             settled && candidate.since + 10 * settle <= now};
    // Drawn here, so that ids rise in the order in which files are tried.
    auto try_it = [this, &name, &evidence, id = context_.ids.next()] {
        return pickup_.take(name, evidence, id);
    };
    auto tried = co_await on_disk(context_, try_it);
    candidate.in_hand = false;

    using Outcome = folders::Pickup::Attempt::Outcome;
    if (tried.outcome == Outcome::growing) {
        look_again_at(name, tried.info);
        co_return;
    }
    if (tried.outcome == Outcome::unusable) {
        complaints_.say(name, tried.reason);
    } else {
        complaints_.forget(name);
    }
    // A new file may have come under the name meanwhile: tried after this one.
    const bool came_again = candidate.closed;
    forget(name);
    if (came_again && tried.outcome != Outcome::taken) closed(name);
    if (tried.outcome != Outcome::taken) co_return;
    // Being put back is an event too, and must not be taken for a new file at once.
    resting_.insert(name);
    if (came_again) closed(name);
    co_await attempt(std::move(*tried.file), std::move(name));
}

void Arrivals::look_again_at(const std::string& name, const os::FileInfo& info) {
    auto& candidate = candidates_[name];
    const bool same = candidate.seen && info.unchanged_since(*candidate.seen) &&
                      info.changed == candidate.seen->changed;
    if (!same) {
        candidate.seen = info;
        candidate.since = steady_clock::now();
    }
    // Its writer closed it while we looked.
    if (candidate.closed) try_soon(name, candidate);
    changed_.notify();
}

smtp::Task<void> Arrivals::attempt(folders::TakenPickup file, std::string name) {
    const auto id = file.id();
    const auto result = co_await courier_.attempt(std::move(file), name);
    if (!result.put_back) {
        resting_.erase(name);
        const auto known = candidates_.find(name);
        if (known != candidates_.end()) try_soon(name, known->second);
    }
    if (result.next_attempt) waits_(id, *result.next_attempt);
}

}  // namespace mailroot::delivery
