#include "delivery/queue_pass.hpp"

#include "delivery/folder_sync.hpp"
#include "delivery/recovery.hpp"
#include "folders/queue.hpp"

#include <algorithm>
#include <deque>
#include <optional>

namespace mailroot::delivery {

namespace {

// Entries that are in memory at once; a larger queue is read again for the next ones.
constexpr std::size_t k_at_once = 50'000;

/// What a pass works through.
struct Pass {
    Context& context;
    Courier& courier;
    PickupCourier& pickup_courier;
    std::deque<MessageId> reports;  ///< accepted meanwhile
    PassResult result{};
};

bool is_selected(const QueueSelection& selection, const folders::Queue::Entry& entry,
                 TimePoint now) {
    if (!selection.ids.empty())
        return std::ranges::find(selection.ids, entry.id) != selection.ids.end();
    return entry.pickup || selection.all || entry.next_attempt <= now;
}

smtp::Task<void> attempt_message(Pass& pass, MessageId id, TimePoint due_by) {
    auto claim = [&] { return folders::Queue(pass.context.mailroot).claim(id, due_by); };
    auto message = co_await on_disk(pass.context, claim);
    if (!message) {
        pass.result.errors.push_back(message.error());
    } else if (*message) {
        ++pass.result.messages;
        pass.result += co_await pass.courier.attempt(std::move(**message));
    } else {
        ++pass.result.taken_by_others;
    }
}

smtp::Task<void> resume_file(Pass& pass, MessageId id) {
    auto take = [&] { return folders::Queue(pass.context.mailroot).resume(id); };
    auto file = co_await on_disk(pass.context, take);
    if (!file) pass.result.errors.push_back(file.error());
    if (!file || !*file) co_return;
    ++pass.result.messages;
    pass.result += co_await pass.pickup_courier.attempt(std::move(**file), "");
}

/// The next ones that are selected, oldest first; after `last`, so that none is attempted twice.
Result<std::vector<folders::Queue::Entry>> next_entries(const Context& context,
                                                        const QueueSelection& selection,
                                                        const std::optional<MessageId>& last,
                                                        TimePoint now) {
    const auto wanted = [&](const folders::Queue::Entry& entry) {
        return entry.next_attempt < folders::held_from() && is_selected(selection, entry, now);
    };
    return folders::Queue(context.mailroot).first_after(last, k_at_once, wanted);
}

smtp::Task<void> attempt_selected(Pass& pass, smtp::TaskGroup& attempts,
                                  const QueueSelection& selection) {
    const bool by_time = selection.ids.empty() && !selection.all;
    const auto began = pass.context.clock.now();
    const auto due_by = by_time ? began : folders::whenever_due();
    std::optional<MessageId> last;
    for (bool more = true; more;) {
        auto look = [&] { return next_entries(pass.context, selection, last, began); };
        const auto found = co_await on_disk(pass.context, look);
        if (!found) pass.result.errors.push_back(found.error());
        more = found && found->size() == k_at_once;
        for (const auto& entry : found.value_or(std::vector<folders::Queue::Entry>{})) {
            co_await attempts.room();
            attempts.start(entry.pickup ? resume_file(pass, entry.id)
                                        : attempt_message(pass, entry.id, due_by));
            last = entry.id;
        }
    }
    co_await attempts.idle();
}

/// A report never begets a report, so this ends.
smtp::Task<void> attempt_reports(Pass& pass, smtp::TaskGroup& attempts) {
    while (!pass.reports.empty()) {
        co_await attempts.room();
        // Due at once, though the pass began before it came.
        attempts.start(attempt_message(pass, pass.reports.front(), folders::whenever_due()));
        pass.reports.pop_front();
        if (pass.reports.empty()) co_await attempts.idle();
    }
}

smtp::Task<void> run(Pass& pass, QueueSelection selection) {
    for (auto& error : co_await recover(pass.context))
        pass.result.errors.push_back(std::move(error));
    smtp::TaskGroup attempts(pass.context.loop, pass.context.settings.delivery.connections);
    co_await attempt_selected(pass, attempts, selection);
    co_await attempt_reports(pass, attempts);
}

}  // namespace

Result<std::vector<MessageId>> selected(const Context& context, const QueueSelection& selection) {
    const auto now = context.clock.now();
    std::vector<MessageId> ids;
    for (;;) {
        const auto last = ids.empty() ? std::nullopt : std::optional(ids.back());
        const auto found = next_entries(context, selection, last, now);
        if (!found) return tl::unexpected(found.error());
        for (const auto& entry : *found) ids.push_back(entry.id);
        if (found->size() < k_at_once) return ids;
    }
}

smtp::Task<PassResult> run_queue_pass(Context& context, Courier& courier,
                                      PickupCourier& pickup_courier, QueueSelection selection) {
    Pass pass{context, courier, pickup_courier, {}};
    context.accepted = [&pass](const MessageId& id) { pass.reports.push_back(id); };
    co_await with_folder_sync(context, run(pass, std::move(selection)));
    context.accepted = [](const MessageId&) {};
    co_return std::move(pass.result);
}

}  // namespace mailroot::delivery
