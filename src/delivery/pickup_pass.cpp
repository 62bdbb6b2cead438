#include "delivery/pickup_pass.hpp"

#include "delivery/folder_sync.hpp"
#include "folders/pickup.hpp"

#include <map>
#include <optional>

namespace mailroot::delivery {

namespace {

/// Names, and how those looked that were seen growing.
using Candidates = std::map<std::string, std::optional<os::FileInfo>>;

struct Pass {
    const Context& context;
    PickupCourier& courier;
    Candidates growing;
    PickupPassResult result{};
};

smtp::Task<void> try_file(Pass& pass, std::string name, std::optional<os::FileInfo> settled) {
    auto take = [&] {
        return folders::Pickup(pass.context.mailroot)
            .take(name, {false, settled}, pass.context.ids.next());
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

smtp::Task<void> try_all(Pass& pass, Candidates names) {
    smtp::TaskGroup attempts(pass.context.loop, pass.context.settings.delivery.connections);
    for (const auto& [name, settled] : names) {
        co_await attempts.room();
        attempts.start(try_file(pass, name, settled));
    }
    co_await attempts.idle();
}

}  // namespace

smtp::Task<PickupPassResult> run_pickup_pass(Context& context, Courier& courier,
                                             PickupCourier& pickup_courier,
                                             std::chrono::milliseconds wait) {
    Pass pass{context, pickup_courier, {}};
    std::vector<MessageId> reports;
    context.accepted = [&reports](const MessageId& id) { reports.push_back(id); };
    for (auto& error : co_await recover(context)) pass.result.errors.push_back(std::move(error));
    Candidates names;
    auto list = [&] {
        return folders::Pickup(context.mailroot).scan([&](std::string_view name) {
            names.emplace(name, std::nullopt);
        });
    };
    const auto listed = co_await on_disk(context, list);
    if (!listed) pass.result.errors.push_back(listed.error());
    co_await try_all(pass, std::move(names));
    if (!pass.growing.empty()) {
        co_await smtp::pause(wait);
        co_await try_all(pass, std::exchange(pass.growing, {}));
    }
    if (!reports.empty()) {
        const auto sent = co_await run_queue_pass(context, courier, pickup_courier,
                                                  {std::exchange(reports, {}), false});
        pass.result += sent;
    }
    co_await sync_folders(context);
    context.accepted = [](const MessageId&) {};
    for (const auto& [name, info] : pass.growing) pass.result.left.push_back(name);
    co_return std::move(pass.result);
}

}  // namespace mailroot::delivery
