#include "delivery/queue_pass.hpp"

#include "delivery/folder_sync.hpp"
#include "folders/queue.hpp"
#include "folders/recovery.hpp"

#include <algorithm>
#include <deque>

namespace mailroot::delivery {

namespace {

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

Result<std::vector<folders::Queue::Entry>> entries(const Context& context,
                                                   const QueueSelection& selection) {
    const auto now = context.clock.now();
    std::vector<folders::Queue::Entry> found;
    MAILROOT_TRY(folders::Queue(context.mailroot)
                     .scan(
                         [&](const folders::Queue::Entry& entry) {
                             if (entry.next_attempt < folders::held_from() &&
                                 is_selected(selection, entry, now))
                                 found.push_back(entry);
                         },
                         [](std::string_view) {}));
    std::ranges::sort(found, {}, &folders::Queue::Entry::id);
    return found;
}

}  // namespace

Result<std::vector<MessageId>> selected(const Context& context, const QueueSelection& selection) {
    const auto found = entries(context, selection);
    if (!found) return tl::unexpected(found.error());
    std::vector<MessageId> ids;
    for (const auto& entry : *found) ids.push_back(entry.id);
    return ids;
}

smtp::Task<std::vector<Error>> recover(const Context& context) {
    auto work = [&context] {
        return folders::recover(context.mailroot, context.clock.now(), context.ids);
    };
    auto recovered = co_await on_disk(context, work);
    for (const auto& file : recovered.finished) context.log.notice("recovered " + file);
    for (const auto& file : recovered.swept) context.log.notice("swept " + file);
    co_return std::move(recovered.errors);
}

smtp::Task<PassResult> run_queue_pass(Context& context, Courier& courier,
                                      PickupCourier& pickup_courier, QueueSelection selection) {
    const bool by_time = selection.ids.empty() && !selection.all;
    const auto due_by = by_time ? context.clock.now() : folders::held_from();
    Pass pass{context, courier, pickup_courier, {}};
    for (auto& error : co_await recover(context)) pass.result.errors.push_back(std::move(error));
    context.accepted = [&pass](const MessageId& id) { pass.reports.push_back(id); };
    auto look = [&] { return entries(context, selection); };
    const auto found = co_await on_disk(context, look);
    if (!found) pass.result.errors.push_back(found.error());

    smtp::TaskGroup attempts(context.loop, context.settings.delivery.connections);
    for (const auto& entry : found.value_or(std::vector<folders::Queue::Entry>{})) {
        co_await attempts.room();
        attempts.start(entry.pickup ? resume_file(pass, entry.id)
                                    : attempt_message(pass, entry.id, due_by));
    }
    co_await attempts.idle();
    // A report never begets a report, so this ends.
    while (!pass.reports.empty()) {
        co_await attempts.room();
        // Due at once, though the pass began before it came.
        attempts.start(attempt_message(pass, pass.reports.front(), folders::held_from()));
        pass.reports.pop_front();
        if (pass.reports.empty()) co_await attempts.idle();
    }
    co_await sync_folders(context);
    context.accepted = [](const MessageId&) {};
    co_return std::move(pass.result);
}

}  // namespace mailroot::delivery
