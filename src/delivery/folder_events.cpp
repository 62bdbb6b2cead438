#include "delivery/folder_events.hpp"

namespace mailroot::delivery {

FolderEvents::FolderEvents(const Context& context, Reactor& reactor, const os::Folder& folder,
                           os::FolderWatch::Of of, std::function<void(const Event&)> heard)
    : context_(context),
      reactor_(reactor),
      folder_(folder),
      of_(of),
      heard_(std::move(heard)),
      complaints_(context.log) {}

FolderEvents::~FolderEvents() {
    close();
}

smtp::Task<bool> FolderEvents::follow() {
    const auto standing = co_await look();
    if (standing != os::Standing::same) close();
    if (standing == os::Standing::gone) co_return false;
    if (!watch_) open();
    co_return true;
}

smtp::Task<os::Standing> FolderEvents::look() {
    auto look = [this] { return context_.mailroot.files.follow(folder_); };
    const auto standing = co_await on_disk(context_, look);
    const auto name = folder_.path.filename().string();
    if (!standing) {
        complaints_.warn(name, standing.error());
        co_return os::Standing::gone;
    }
    if (*standing == os::Standing::gone) {
        complaints_.warn(name, {Error::Kind::not_found,
                                folder_.path.string() + ": no such folder; nothing is done there "
                                                        "until there is one again"});
    } else {
        complaints_.forget(name);
    }
    if (*standing == os::Standing::replaced)
        context_.log.notice(name + ": another folder stands there; going on in that one");
    co_return *standing;
}

void FolderEvents::open() {
    auto watch = os::FolderWatch::open(folder_, of_);
    const auto events_of = folder_.path.string() + " events";
    if (!watch) {
        complaints_.warn(events_of, watch.error());
        return;
    }
    complaints_.forget(events_of);
    watch_.emplace(std::move(*watch));
    if (!held_back_) listen();
}

void FolderEvents::listen() {
    reactor_.watch(watch_->descriptor(), {.readable = true},
                   [this](Reactor::Readiness) { take(); });
}

void FolderEvents::hold_back() {
    held_back_ = true;
    if (watch_) reactor_.unwatch(watch_->descriptor());
}

void FolderEvents::let_through() {
    held_back_ = false;
    if (watch_) take();
    if (watch_) listen();
}

void FolderEvents::close() {
    if (!watch_) return;
    if (!held_back_) reactor_.unwatch(watch_->descriptor());
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

}  // namespace mailroot::delivery
