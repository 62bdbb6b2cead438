#include "delivery/queue_runner.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;

// The wall clock may be set while we wait by the monotonic one.
constexpr std::chrono::milliseconds k_longest_wait = 1min;

}  // namespace

QueueRunner::QueueRunner(const Context& context, Courier& courier, PickupCourier& pickup_courier,
                         smtp::TaskGroup& attempts)
    : context_(context),
      courier_(courier),
      pickup_courier_(pickup_courier),
      attempts_(attempts),
      complaints_(context.log),
      changed_(context.loop) {}

void QueueRunner::waits(const MessageId& id, TimePoint due) {
    schedule_.set(id, due);
    changed_.notify();
}

void QueueRunner::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> QueueRunner::run() {
    while (!stopping_) {
        const auto now = context_.clock.now();
        const auto earliest = schedule_.earliest();
        if (!earliest || *earliest > now) {
            const auto until = earliest.value_or(now + k_longest_wait) - now;
            co_await changed_.wait_for(
                std::min(k_longest_wait, std::chrono::ceil<std::chrono::milliseconds>(until)));
            continue;
        }
        co_await attempts_.room();
        // While we waited for room, a rescan may have changed what is due.
        const auto id = stopping_ ? std::nullopt : schedule_.take_due(now);
        if (!id || !active_.insert(*id).second) continue;
        attempts_.start(attempt(*id));
    }
}

smtp::Task<void> QueueRunner::attempt(MessageId id) {
    auto claim = [this, id] {
        return folders::Queue(context_.mailroot).claim(id, context_.clock.now());
    };
    auto message = co_await on_disk(context_, claim);
    if (!message) {
        complaints_.say(id.text(), message.error());
    } else if (*message) {
        remember(id, co_await courier_.attempt(std::move(**message)));
    }
    // Gone, another's, or not due after all: the next rescan knows.
    active_.erase(id);
}

void QueueRunner::remember(const MessageId& id, const AttemptResult& result) {
    complaints_.forget(id.text());
    if (result.next_attempt) waits(id, *result.next_attempt);
}

/// What one look at the folder found.
struct QueueRunner::Found {
    std::vector<folders::Queue::Entry> entries;
    std::vector<std::string> foreign;
};

smtp::Task<void> QueueRunner::rescan() {
    auto look = [this]() -> Result<Found> {
        Found found;
        MAILROOT_TRY(folders::Queue(context_.mailroot)
                         .scan([&](const auto& entry) { found.entries.push_back(entry); },
                               [&](std::string_view name) { found.foreign.emplace_back(name); }));
        return found;
    };
    const auto found = co_await on_disk(context_, look);
    if (!found) {
        complaints_.say("Queue", found.error());
        co_return;
    }
    for (const auto& entry : found->entries) {
        if (active_.contains(entry.id)) continue;
        if (entry.pickup) {
            co_await attempts_.room();
            if (!stopping_ && active_.insert(entry.id).second) attempts_.start(resume(entry.id));
        } else if (entry.next_attempt < folders::held_from()) {
            schedule_.set(entry.id, entry.next_attempt);
        }
    }
    for (const auto& name : found->foreign) {
        co_await attempts_.room();
        if (!stopping_) attempts_.start(adopt(name));
    }
    changed_.notify();
}

smtp::Task<void> QueueRunner::resume(MessageId id) {
    auto take = [this, id] { return folders::Queue(context_.mailroot).resume(id); };
    auto file = co_await on_disk(context_, take);
    if (!file) complaints_.say(folders::pickup_name(id), file.error());
    if (file && *file) co_await attempt_file(std::move(**file));
    active_.erase(id);
}

smtp::Task<void> QueueRunner::adopt(std::string name) {
    const auto settled_by = context_.clock.now() - context_.settings.pickup.settle;
    auto take = [this, &name, settled_by] {
        return folders::Queue(context_.mailroot).adopt(name, context_.ids.next(), settled_by);
    };
    auto file = co_await on_disk(context_, take);
    if (!file) complaints_.say(name, file.error());
    if (!file || !*file) co_return;
    const auto id = (*file)->id();
    active_.insert(id);
    co_await attempt_file(std::move(**file));
    active_.erase(id);
}

smtp::Task<void> QueueRunner::attempt_file(folders::TakenPickup file) {
    const auto id = file.id();
    const auto result = co_await pickup_courier_.attempt(std::move(file), "");
    remember(id, result);
}

}  // namespace mailroot::delivery
