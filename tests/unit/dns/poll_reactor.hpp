#pragma once

#include "core/reactor.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <poll.h>
#include <utility>
#include <vector>

/// A real loop over poll(), so that libraries with sockets are tested without the one in smtp/.
class PollReactor final : public mailroot::Reactor {
 public:
    void watch(int fd, Readiness wanted, std::function<void(Readiness)> ready) override {
        watches_[fd] = {wanted, std::move(ready)};
    }
    void unwatch(int fd) override { watches_.erase(fd); }

    std::unique_ptr<Timer> after(std::chrono::milliseconds delay,
                                 std::function<void()> then) override {
        auto entry = std::make_shared<std::function<void()>>(std::move(then));
        timers_.emplace(Steady::now() + delay, entry);
        return std::make_unique<PollTimer>(std::move(entry));
    }

    void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }

    /// Runs until `done` says so; false where that took longer than `patience`.
    bool run_until(const std::function<bool()>& done,
                   std::chrono::milliseconds patience = std::chrono::seconds(20)) {
        const auto deadline = Steady::now() + patience;
        while (!done()) {
            if (Steady::now() >= deadline) return false;
            run_posted();
            run_timers();
            if (!done()) wait(deadline);
        }
        return true;
    }

    [[nodiscard]] bool watches_anything() const { return !watches_.empty(); }

 private:
    using Steady = std::chrono::steady_clock;
    using Work = std::function<void()>;

    /// The work is the timer's: what the loop holds of it dies with it.
    struct PollTimer final : Timer {
        explicit PollTimer(std::shared_ptr<Work> held) : work(std::move(held)) {}
        std::shared_ptr<Work> work;
    };
    struct Watch {
        Readiness wanted;
        std::function<void(Readiness)> ready;
    };

    void run_posted() {
        for (auto left = posted_.size(); left > 0; --left) {
            const auto work = std::move(posted_.front());
            posted_.pop_front();
            work();
        }
    }

    void run_timers() {
        while (!timers_.empty() && timers_.begin()->first <= Steady::now()) {
            const auto work = timers_.begin()->second.lock();
            timers_.erase(timers_.begin());
            if (work) (*work)();
        }
    }

    [[nodiscard]] int milliseconds_left(Steady::time_point until) const {
        if (!posted_.empty()) return 0;
        if (!timers_.empty()) until = std::min(until, timers_.begin()->first);
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now());
        return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }

    void wait(Steady::time_point until) {
        std::vector<pollfd> polled;
        for (const auto& [fd, watch] : watches_) {
            const int events =
                (watch.wanted.readable ? POLLIN : 0) | (watch.wanted.writable ? POLLOUT : 0);
            polled.push_back({fd, static_cast<short>(events), 0});
        }
        if (::poll(polled.data(), polled.size(), milliseconds_left(until)) <= 0) return;
        for (const auto& one : polled) {
            const auto found = watches_.find(one.fd);
            if (one.revents == 0 || found == watches_.end()) continue;
            const bool failed = (one.revents & (POLLERR | POLLHUP)) != 0;
            const auto watch = found->second;  // a copy: the callback may take it away
            watch.ready({watch.wanted.readable && (failed || (one.revents & POLLIN) != 0),
                         watch.wanted.writable && (failed || (one.revents & POLLOUT) != 0)});
        }
    }

    std::map<int, Watch> watches_;
    std::multimap<Steady::time_point, std::weak_ptr<Work>> timers_;
    std::deque<Work> posted_;
};
