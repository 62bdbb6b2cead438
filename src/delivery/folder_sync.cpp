#include "delivery/folder_sync.hpp"

#include <chrono>
#include <utility>

namespace mailroot::delivery {

namespace {

constexpr std::chrono::milliseconds k_shared_for{900};

/// What fails is said in the log: nothing is lost by it.
smtp::Task<void> sync_folders(const Context& context) {
    for (const auto* folder :
         {&context.mailroot.queue, &context.mailroot.drop, &context.mailroot.badmail}) {
        auto sync = [&context, folder] { return context.mailroot.files.sync(*folder); };
        const auto synced = co_await on_disk(context, sync);
        if (!synced) context.log.warning(synced.error().what);
    }
}

}  // namespace

void FolderSync::wanted() {
    if (!std::exchange(wanted_, true)) changed_.notify();
}

void FolderSync::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> FolderSync::run() {
    for (;;) {
        while (!wanted_ && !stopping_) co_await changed_.wait();
        if (!wanted_) co_return;
        if (!stopping_) co_await changed_.wait_for(k_shared_for);
        wanted_ = false;
        co_await sync_folders(context_);
    }
}

smtp::Task<void> with_folder_sync(Context& context, smtp::Task<void> pass) {
    FolderSync folder_sync(context);
    auto before = std::exchange(context.moved_on, [&folder_sync] { folder_sync.wanted(); });
    smtp::TaskGroup syncing(context.loop);
    syncing.start(folder_sync.run());
    co_await std::move(pass);
    folder_sync.stop();
    co_await syncing.idle();
    context.moved_on = std::move(before);
}

}  // namespace mailroot::delivery
