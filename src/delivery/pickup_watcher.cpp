#include "delivery/pickup_watcher.hpp"

namespace mailroot::delivery {

PickupWatcher::PickupWatcher(const Context& context, Reactor& reactor, PickupCourier& courier,
                             smtp::TaskGroup& attempts,
                             std::function<void(const MessageId&, TimePoint)> waits)
    : context_(context),
      events_(context, reactor, context.mailroot.pickup, os::FolderWatch::Of::files,
              [this](const FolderEvents::Event& event) { heard(event); }),
      arrivals_(context, folders::Pickup::Place::pickup, courier, attempts, std::move(waits),
                [this] { look_soon(); }),
      complaints_(context.log),
      changed_(context.loop) {}

void PickupWatcher::heard(const FolderEvents::Event& event) {
    if (event.kind == FolderEvents::Event::Kind::whole) arrivals_.closed(event.name);
    if (event.kind == FolderEvents::Event::Kind::lost) look_soon();
}

void PickupWatcher::look_soon() {
    look_wanted_ = true;
    changed_.notify();
}

void PickupWatcher::stop() {
    stopping_ = true;
    changed_.notify();
    arrivals_.stop();
}

smtp::Task<void> PickupWatcher::run() {
    smtp::TaskGroup both(context_.loop);
    both.start(arrivals_.run());
    both.start(keep_looking());
    co_await both.idle();
}

smtp::Task<void> PickupWatcher::keep_looking() {
    while (!stopping_) {
        look_wanted_ = false;
        co_await look();
        if (!look_wanted_ && !stopping_)
            co_await changed_.wait_for(context_.settings.pickup.rescan);
    }
}

smtp::Task<void> PickupWatcher::look() {
    // Watched first: what comes while we look is told.
    if (!co_await events_.follow()) co_return;
    arrivals_.look_begins();
    // One more than can be followed tells that there are more.
    auto read = [this] {
        return folders::Pickup(context_.mailroot).first_after(last_found_, Arrivals::k_most + 1);
    };
    const auto entries = co_await on_disk(context_, read);
    if (!entries) {
        complaints_.warn("Pickup", entries.error());
        co_return;
    }
    complaints_.forget("Pickup");
    const bool all_told = entries->size() <= Arrivals::k_most;
    for (const auto& entry : *entries) {
        if (!arrivals_.found(entry.name)) co_return;
        last_found_ = entry;
    }
    // Those that cannot be taken come again with the next look from the start, and keep no other
    // from its turn.
    if (all_told) {
        last_found_.reset();
    } else {
        arrivals_.more_there();
    }
}

}  // namespace mailroot::delivery
