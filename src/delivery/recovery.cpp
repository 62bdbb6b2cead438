#include "delivery/recovery.hpp"

#include "delivery/rescan.hpp"
#include "folders/recovery.hpp"

#include <chrono>

namespace mailroot::delivery {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

smtp::Task<std::vector<Error>> recover(const Context& context) {
    auto work = [&context] {
        return folders::recover(context.mailroot, context.clock.now(), context.ids);
    };
    auto recovered = co_await on_disk(context, work);
    for (const auto& file : recovered.finished) context.log.notice("recovered " + file);
    for (const auto& file : recovered.swept) context.log.notice("swept " + file);
    co_return std::move(recovered.errors);
}

Recovery::Recovery(const Context& context, Reactor& reactor)
    : context_(context),
      drop_(context, reactor, context.mailroot.drop, os::FolderWatch::Of::folder,
            [this](const FolderEvents::Event&) { changed_.notify(); }),
      badmail_(context, reactor, context.mailroot.badmail, os::FolderWatch::Of::folder,
               [this](const FolderEvents::Event&) { changed_.notify(); }),
      changed_(context.loop) {}

void Recovery::stop() {
    stopping_ = true;
    changed_.notify();
}

smtp::Task<void> Recovery::recover_now() {
    (void)co_await drop_.follow();
    (void)co_await badmail_.follow();
    const auto began = steady_clock::now();
    say_new(co_await recover(context_));
    took_ = std::chrono::ceil<milliseconds>(steady_clock::now() - began);
}

smtp::Task<void> Recovery::run() {
    while (!stopping_) {
        co_await changed_.wait_for(until_next_look(context_.settings.pickup.rescan, took_, true));
        if (!stopping_) co_await recover_now();
    }
}

/// Says what was not wrong the last time.
void Recovery::say_new(const std::vector<Error>& errors) {
    std::set<std::string> wrong;
    for (const auto& error : errors) {
        if (wrong.insert(error.what).second && !wrong_.contains(error.what))
            context_.log.warning(error.what);
    }
    wrong_ = std::move(wrong);
}

}  // namespace mailroot::delivery
