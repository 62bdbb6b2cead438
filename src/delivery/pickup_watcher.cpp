#include "delivery/pickup_watcher.hpp"

#include <algorithm>
#include <vector>

namespace mailroot::delivery {

namespace {

using std::chrono::steady_clock;

// However short `pickup.settle` is, a growing file is not looked at without a break.
constexpr std::chrono::milliseconds k_shortest_look{100};

}  // namespace

PickupWatcher::PickupWatcher(const Context& context, Reactor& reactor, PickupCourier& courier,
                             smtp::TaskGroup& attempts,
                             std::function<void(const MessageId&, TimePoint)> waits)
    : context_(context),
      reactor_(reactor),
      courier_(courier),
      attempts_(attempts),
      waits_(std::move(waits)),
      complaints_(context.log),
      changed_(context.loop) {}

PickupWatcher::~PickupWatcher() {
    if (watch_) reactor_.unwatch(watch_->descriptor());
}

void PickupWatcher::watch() {
    auto watch = os::FolderWatch::open(context_.mailroot.pickup);
    if (!watch) {
        context_.log.warning(watch.error().what);
        return;
    }
    watch_.emplace(std::move(*watch));
    reactor_.watch(watch_->descriptor(), {.readable = true},
                   [this](Reactor::Readiness) { on_events(); });
}

void PickupWatcher::on_events() {
    for (const auto& event : watch_->events()) {
        switch (event.kind) {
            case os::FolderWatch::Event::Kind::whole:
                if (!folders::Pickup::is_candidate(event.name)) break;
                candidates_[event.name].closed = true;
                if (!resting_.contains(event.name)) try_soon(event.name);
                break;
            case os::FolderWatch::Event::Kind::lost:
                events_lost_ = true;
                changed_.notify();
                break;
            default:
                break;  // what is gone shows when it is tried
        }
    }
}

void PickupWatcher::try_soon(const std::string& name) {
    to_try_.push_back(name);
    changed_.notify();
}

void PickupWatcher::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> PickupWatcher::run() {
    while (!stopping_) {
        if (std::exchange(events_lost_, false)) {
            co_await rescan();
        } else if (!to_try_.empty()) {
            // Files wait in Pickup until there is room for them.
            co_await attempts_.room();
            if (stopping_) break;
            attempts_.start(take(to_try_.front()));
            to_try_.pop_front();
        } else if (any_growing()) {
            co_await changed_.wait_for(std::max(context_.settings.pickup.settle, k_shortest_look));
            try_settled();
        } else {
            co_await changed_.wait();
        }
    }
}

bool PickupWatcher::any_growing() const {
    return std::ranges::any_of(candidates_, [](const auto& candidate) {
        return candidate.second.seen && !candidate.second.in_hand;
    });
}

void PickupWatcher::try_settled() {
    const auto settled = steady_clock::now() - context_.settings.pickup.settle;
    for (const auto& [name, candidate] : candidates_) {
        if (candidate.seen && !candidate.in_hand && candidate.since <= settled)
            to_try_.push_back(name);
    }
}

smtp::Task<void> PickupWatcher::rescan() {
    resting_.clear();
    auto look = [this]() -> Result<std::vector<std::string>> {
        std::vector<std::string> names;
        const folders::Pickup pickup(context_.mailroot);
        MAILROOT_TRY(pickup.scan([&](std::string_view name) { names.emplace_back(name); }));
        return names;
    };
    const auto names = co_await on_disk(context_, look);
    if (!names) {
        complaints_.say("Pickup", names.error());
        co_return;
    }
    for (const auto& name : *names) {
        if (!candidates_[name].in_hand) try_soon(name);
    }
}

smtp::Task<void> PickupWatcher::take(std::string name) {
    const auto found = candidates_.find(name);
    if (found == candidates_.end() || found->second.in_hand) co_return;
    auto& candidate = found->second;
    candidate.in_hand = true;
    const bool settled =
        candidate.seen && candidate.since + context_.settings.pickup.settle <= steady_clock::now();
    const folders::Pickup::Evidence evidence{std::exchange(candidate.closed, false),
                                             settled ? candidate.seen : std::nullopt};
    auto try_it = [this, &name, &evidence] {
        return folders::Pickup(context_.mailroot).take(name, evidence, context_.ids.next());
    };
    auto attempt_result = co_await on_disk(context_, try_it);
    candidate.in_hand = false;

    using Outcome = folders::Pickup::Attempt::Outcome;
    if (attempt_result.outcome == Outcome::growing) {
        look_again(name, attempt_result.info);
        co_return;
    }
    // A new file may have come under the name meanwhile: tried after this one.
    const bool came_again = candidate.closed;
    candidates_.erase(name);
    if (came_again) candidates_[name].closed = true;
    if (attempt_result.outcome == Outcome::unusable) {
        complaints_.say(name, attempt_result.reason);
    } else {
        complaints_.forget(name);
    }
    if (attempt_result.outcome != Outcome::taken && came_again) try_soon(name);
    if (attempt_result.outcome == Outcome::taken)
        co_await attempt(std::move(*attempt_result.file), std::move(name));
}

void PickupWatcher::look_again(const std::string& name, const os::FileInfo& info) {
    auto& candidate = candidates_[name];
    const bool same = candidate.seen && info.unchanged_since(*candidate.seen) &&
                      info.changed == candidate.seen->changed;
    if (!same) {
        candidate.seen = info;
        candidate.since = steady_clock::now();
    }
    // Its writer closed it while we looked.
    if (candidate.closed) try_soon(name);
    changed_.notify();
}

smtp::Task<void> PickupWatcher::attempt(folders::TakenPickup file, std::string name) {
    const auto id = file.id();
    // Being put back is an event too, and must not be taken for a new file at once.
    resting_.insert(name);
    const auto result = co_await courier_.attempt(std::move(file), name);
    if (!result.put_back) {
        resting_.erase(name);
        if (candidates_.contains(name)) try_soon(name);
    }
    if (result.next_attempt) waits_(id, *result.next_attempt);
}

}  // namespace mailroot::delivery
