#include "delivery/pickup_pass.hpp"

#include "delivery/folder_sync.hpp"
#include "delivery/recovery.hpp"
#include "folders/pickup.hpp"

#include <map>
#include <optional>

namespace mailroot::delivery {

namespace {

// Entries that are in memory at once; a larger folder is read again for the next ones.
constexpr std::size_t k_at_once = 20'000;

/// Names, and how those looked that were seen growing.
using Candidates = std::map<std::string, os::FileInfo>;

struct Pass {
    const Context& context;
    PickupCourier& courier;
    Candidates growing;
    PickupPassResult result{};
};

smtp::Task<void> try_file(Pass& pass, std::string name, std::optional<os::FileInfo> settled) {
    auto take = [&, id = pass.context.ids.next()] {
        return folders::Pickup(pass.context.mailroot).take(name, {false, settled, false}, id);
    };
    auto attempt = co_await on_disk(pass.context, take);
    using Outcome = folders::Pickup::Attempt::Outcome;
    if (attempt.outcome == Outcome::growing) pass.growing[name] = attempt.info;
    if (attempt.outcome == Outcome::unusable) pass.result.errors.push_back(attempt.reason);
    if (attempt.outcome != Outcome::taken) co_return;
    ++pass.result.messages;
    const auto result = co_await pass.courier.attempt(std::move(*attempt.file), name);
    pass.result += result;
    if (!result.put_back) co_return;
    pass.result.left.push_back(name);
    // Written to meanwhile: that is the writer's good right.
    if (result.put_back->kind != Error::Kind::busy) pass.result.errors.push_back(*result.put_back);
}

smtp::Task<void> try_all(Pass& pass, smtp::TaskGroup& attempts) {
    const folders::Pickup pickup(pass.context.mailroot);
    std::optional<folders::Pickup::Entry> last;
    for (bool more = true; more;) {
        auto look = [&] { return pickup.first_after(last, k_at_once); };
        const auto found = co_await on_disk(pass.context, look);
        if (!found) pass.result.errors.push_back(found.error());
        more = found && found->size() == k_at_once;
        for (const auto& entry : found.value_or(std::vector<folders::Pickup::Entry>{})) {
            co_await attempts.room();
            attempts.start(try_file(pass, entry.name, std::nullopt));
            last = entry;
        }
    }
    co_await attempts.idle();
}

smtp::Task<void> try_settled(Pass& pass, smtp::TaskGroup& attempts) {
    for (const auto& [name, settled] : std::exchange(pass.growing, {})) {
        co_await attempts.room();
        attempts.start(try_file(pass, name, settled));
    }
    co_await attempts.idle();
}

smtp::Task<void> run(Pass& pass, std::chrono::milliseconds wait) {
    for (auto& error : co_await recover(pass.context))
        pass.result.errors.push_back(std::move(error));
    smtp::TaskGroup attempts(pass.context.loop, pass.context.settings.delivery.connections);
    co_await try_all(pass, attempts);
    if (pass.growing.empty()) co_return;
    co_await smtp::pause(wait);
    co_await try_settled(pass, attempts);
}

}  // namespace

smtp::Task<PickupPassResult> run_pickup_pass(Context& context, Courier& courier,
                                             PickupCourier& pickup_courier,
                                             std::chrono::milliseconds wait) {
    Pass pass{context, pickup_courier, {}};
    std::vector<MessageId> reports;
    context.accepted = [&reports](const MessageId& id) { reports.push_back(id); };
    co_await with_folder_sync(context, run(pass, wait));
    if (!reports.empty()) {
        const auto sent = co_await run_queue_pass(context, courier, pickup_courier,
                                                  {std::exchange(reports, {}), false});
        pass.result += sent;
    }
    context.accepted = [](const MessageId&) {};
    for (const auto& [name, info] : pass.growing) pass.result.left.push_back(name);
    co_return std::move(pass.result);
}

}  // namespace mailroot::delivery
