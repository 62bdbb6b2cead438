#pragma once

#include "core/reactor.hpp"

#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <type_traits>
#include <utility>

namespace mailroot::smtp {

/// A coroutine on the event loop. One thread runs them all; nothing here needs a lock.
template <class T = void>
using Task = asio::awaitable<T>;

/// The event loop and the threads that block in its stead, under names that keep Asio in this
/// folder.
using Loop = asio::io_context;
using Threads = asio::thread_pool;

/// The event loop (Asio's) as the other folders know it. `context` must outlive it.
std::unique_ptr<Reactor> make_reactor(asio::io_context& context);

/// Calls `then` from the loop when the process is asked to end (SIGINT, SIGTERM); each time, until
/// the returned object is destroyed.
std::shared_ptr<void> on_termination(Loop& loop, std::function<void()> then);

/// The same for SIGHUP, by which a service is asked to read its files anew.
std::shared_ptr<void> on_hang_up(Loop& loop, std::function<void()> then);

/// Starts a coroutine that nobody waits for. What it throws comes out of the loop's run().
void spawn(Loop& loop, Task<void> task);

/// Waits for a function that reports through a callback:
/// `auto answer = co_await from_callback<MxAnswer>(ask);` with
/// `auto ask = [&](auto then) { resolver.mx(name, std::move(then)); };`
/// `ask` is given a copyable `void(T)` that must be called once, from the loop's thread; at once
/// will do.
template <class T, class Start>
Task<T> from_callback(Start start) {
    auto loop = co_await asio::this_coro::executor;
    auto initiate = [&start, loop](auto handler) {
        // std::function wants copies, and Asio's handlers only move.
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        start([shared, loop](T value) {
            // Never from within the call: the coroutine is still on its way to sleep.
            asio::post(loop, [shared, value = std::move(value)]() mutable {
                std::move (*shared)(std::move(value));
            });
        });
    };
    co_return co_await asio::async_initiate<decltype(asio::use_awaitable), void(T)>(
        initiate, asio::use_awaitable);
}

/// Runs blocking work (the disk) on `pool` and comes back to the loop with what it returned. `work`
/// is kept alive until it is done, whatever becomes of the waiting coroutine.
template <class Work>
Task<std::invoke_result_t<Work&>> in_background(asio::thread_pool& pool, Work work) {
    using T = std::invoke_result_t<Work&>;
    auto loop = co_await asio::this_coro::executor;
    auto initiate = [&pool, &work, loop](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        asio::post(pool, [shared, loop, work = std::move(work)]() mutable {
            auto value = std::make_shared<T>(work());
            asio::post(loop, [shared, value] { std::move (*shared)(std::move(*value)); });
        });
    };
    co_return co_await asio::async_initiate<decltype(asio::use_awaitable), void(T)>(
        initiate, asio::use_awaitable);
}

/// Runs blocking work on `pool` that nobody waits for.
template <class Work>
void run_in_background(asio::thread_pool& pool, Work work) {
    asio::post(pool, std::move(work));
}

/// Where coroutines wait for something that others bring about. Only who waits at that moment is
/// woken, so wait in a loop over the condition; one thread runs them all, nothing is missed between
/// the two.
class Signal {
 public:
    explicit Signal(Loop& loop);
    ~Signal();
    Task<void> wait();
    /// The same, but not longer than that.
    Task<void> wait_for(std::chrono::milliseconds most);
    void notify();

 private:
    Task<void> wait_until(std::chrono::steady_clock::time_point deadline);
    struct Waiter;
    Loop& loop_;
    std::list<Waiter*> waiters_;
};

/// Coroutines that run side by side, at most `limit` of them by the caller's leave. Must outlive
/// them: wait for idle() before it is destroyed.
class TaskGroup {
 public:
    explicit TaskGroup(Loop& loop, std::size_t limit = SIZE_MAX)
        : loop_(loop), limit_(limit), changed_(loop) {}

    /// Waits until another may be started.
    Task<void> room();
    void start(Task<void> task);
    /// Waits until none is left.
    Task<void> idle();

 private:
    Task<void> run(Task<void> task);

    Loop& loop_;
    const std::size_t limit_;
    std::size_t running_ = 0;
    Signal changed_;
};

/// Waits for `delay` by the monotonic clock.
Task<void> pause(std::chrono::milliseconds delay);

}  // namespace mailroot::smtp
