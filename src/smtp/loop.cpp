#include "smtp/loop.hpp"

#include <asio/co_spawn.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>

#include <csignal>
#include <exception>
#include <map>
#include <memory>

namespace mailroot::smtp {

namespace {

/// One watched descriptor. Callbacks hold it by weak_ptr: after unwatch() none of them is heard.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
    Watch(asio::io_context& context, int fd, Reactor::Readiness wanted,
          std::function<void(Reactor::Readiness)> ready)
        : descriptor_(context, fd), wanted_(wanted), ready_(std::move(ready)) {}

    ~Watch() { stop(); }

    /// Forgets the descriptor at once, so that it may be watched anew or closed; it stays the
    /// caller's.
    void stop() {
        if (descriptor_.is_open()) descriptor_.release();
    }

    void start() {
        if (wanted_.readable) wait(asio::posix::stream_descriptor::wait_read, {true, false});
        if (wanted_.writable) wait(asio::posix::stream_descriptor::wait_write, {false, true});
    }

 private:
    void wait(asio::posix::stream_descriptor::wait_type type, Reactor::Readiness readiness) {
        descriptor_.async_wait(type,
                               [weak = weak_from_this(), type, readiness](asio::error_code e) {
                                   if (e == asio::error::operation_aborted) return;
                                   // Kept alive through the callback, which may unwatch; then
                                   // nothing else holds it.
                                   const auto self = weak.lock();
                                   if (!self) return;
                                   self->ready_(readiness);
                                   if (weak.use_count() > 1) self->wait(type, readiness);
                               });
    }

    asio::posix::stream_descriptor descriptor_;
    const Reactor::Readiness wanted_;
    const std::function<void(Reactor::Readiness)> ready_;
};

class AsioTimer final : public Reactor::Timer {
 public:
    AsioTimer(asio::io_context& context, std::chrono::milliseconds delay,
              std::function<void()> then)
        : timer_(context, delay) {
        timer_.async_wait(
            [alive = std::weak_ptr(alive_), then = std::move(then)](asio::error_code e) {
                // A timer that has run out is no longer cancelled by its destructor; the flag is.
                if (!e && !alive.expired()) then();
            });
    }

 private:
    asio::steady_timer timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class AsioReactor final : public Reactor {
 public:
    explicit AsioReactor(asio::io_context& context) : context_(context) {}

    void watch(int fd, Readiness wanted, std::function<void(Readiness)> ready) override {
        unwatch(fd);
        const auto watch = std::make_shared<Watch>(context_, fd, wanted, std::move(ready));
        watches_[fd] = watch;
        watch->start();
    }

    void unwatch(int fd) override {
        const auto found = watches_.find(fd);
        if (found == watches_.end()) return;
        found->second->stop();
        watches_.erase(found);
    }

    std::unique_ptr<Timer> after(std::chrono::milliseconds delay,
                                 std::function<void()> then) override {
        return std::make_unique<AsioTimer>(context_, delay, std::move(then));
    }

    void post(std::function<void()> work) override { asio::post(context_, std::move(work)); }

 private:
    asio::io_context& context_;
    std::map<int, std::shared_ptr<Watch>> watches_;
};

}  // namespace

std::unique_ptr<Reactor> make_reactor(asio::io_context& context) {
    return std::make_unique<AsioReactor>(context);
}

namespace {

std::shared_ptr<void> on_signals(std::shared_ptr<asio::signal_set> signals,
                                 std::function<void()> then) {
    // The handler holds the function weakly: destroying what the caller got ends the waiting.
    const auto wait = std::make_shared<std::function<void()>>();
    *wait = [signals = std::weak_ptr<asio::signal_set>(signals), again = std::weak_ptr(wait),
             then] {
        const auto alive = signals.lock();
        if (!alive) return;
        alive->async_wait([again, then](asio::error_code cancelled, int) {
            if (cancelled) return;
            then();
            if (const auto next = again.lock()) (*next)();
        });
    };
    (*wait)();
    return std::make_shared<std::pair<decltype(signals), decltype(wait)>>(std::move(signals), wait);
}

}  // namespace

std::shared_ptr<void> on_termination(Loop& loop, std::function<void()> then) {
    return on_signals(std::make_shared<asio::signal_set>(loop, SIGINT, SIGTERM), std::move(then));
}

std::shared_ptr<void> on_hang_up(Loop& loop, std::function<void()> then) {
    return on_signals(std::make_shared<asio::signal_set>(loop, SIGHUP), std::move(then));
}

void spawn(Loop& loop, Task<void> task) {
    asio::co_spawn(loop, std::move(task), [](const std::exception_ptr& thrown) {
        if (thrown) std::rethrow_exception(thrown);
    });
}

struct Signal::Waiter {
    asio::steady_timer timer;
};

Signal::Signal(Loop& loop) : loop_(loop) {}
Signal::~Signal() = default;

Task<void> Signal::wait() {
    co_await wait_until(std::chrono::steady_clock::time_point::max());
}

Task<void> Signal::wait_for(std::chrono::milliseconds most) {
    co_await wait_until(std::chrono::steady_clock::now() + most);
}

Task<void> Signal::wait_until(std::chrono::steady_clock::time_point deadline) {
    Waiter waiter{asio::steady_timer(loop_, deadline)};
    const auto place = waiters_.insert(waiters_.end(), &waiter);
    asio::error_code cancelled;
    co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    waiters_.erase(place);
}

void Signal::notify() {
    for (auto* waiter : waiters_) waiter->timer.cancel();
}

Task<void> TaskGroup::room() {
    while (running_ >= limit_) co_await changed_.wait();
}

void TaskGroup::start(Task<void> task) {
    ++running_;
    spawn(loop_, run(std::move(task)));
}

Task<void> TaskGroup::run(Task<void> task) {
    co_await std::move(task);
    --running_;
    changed_.notify();
}

Task<void> TaskGroup::idle() {
    while (running_ > 0) co_await changed_.wait();
}

Task<void> pause(std::chrono::milliseconds delay) {
    asio::steady_timer timer(co_await asio::this_coro::executor, delay);
    co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace mailroot::smtp
