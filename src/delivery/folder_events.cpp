#include "delivery/folder_events.hpp"

namespace mailroot::delivery {

FolderEvents::FolderEvents(const Context& context, Reactor& reactor, const os::Folder& folder,
                           std::function<void(const Event&)> heard)
    : context_(context),
      reactor_(reactor),
      folder_(folder),
      heard_(std::move(heard)),
      complaints_(context.log) {}

FolderEvents::~FolderEvents() {
    close();
}

smtp::Task<bool> FolderEvents::follow() {
    const auto standing = co_await delivery::follow(context_, folder_, complaints_);
    if (standing != os::Standing::same) close();
    if (standing == os::Standing::gone) co_return false;
    if (!watch_) open();
    co_return true;
}

void FolderEvents::open() {
    auto watch = os::FolderWatch::open(folder_);
    const auto events_of = folder_.path.string() + " events";
    if (!watch) {
        complaints_.say(events_of, watch.error());
        return;
    }
    complaints_.forget(events_of);
    watch_.emplace(std::move(*watch));
    reactor_.watch(watch_->descriptor(), {.readable = true},
                   [this](Reactor::Readiness) { take(); });
}

void FolderEvents::close() {
    if (!watch_) return;
    reactor_.unwatch(watch_->descriptor());
    watch_.reset();
}

void FolderEvents::take() {
    bool moved = false;
    for (const auto& event : watch_->events()) {
        moved = moved || event.kind == Event::Kind::moved;
        if (event.kind != Event::Kind::moved) heard_(event);
    }
    if (!moved) return;
    close();
    heard_({Event::Kind::lost, ""});
}

smtp::Task<os::Standing> follow(const Context& context, const os::Folder& folder,
                                Complaints& complaints) {
    auto look = [&] { return context.mailroot.files.follow(folder); };
    const auto standing = co_await on_disk(context, look);
    const auto name = folder.path.filename().string();
    if (!standing) {
        complaints.say(name, standing.error());
        co_return os::Standing::gone;
    }
    if (*standing == os::Standing::gone) {
        complaints.say(name, {Error::Kind::not_found, folder.path.string() +
                                                          ": no such folder; nothing is done there "
                                                          "until there is one again"});
    } else {
        complaints.forget(name);
    }
    if (*standing == os::Standing::replaced)
        context.log.notice(name + ": another folder stands there; going on in that one");
    co_return *standing;
}

}  // namespace mailroot::delivery
