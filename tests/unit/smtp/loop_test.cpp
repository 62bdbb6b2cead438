#include "smtp/loop.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <unistd.h>

using namespace mailroot;
using namespace std::chrono_literals;

namespace {

/// Two ends of a pipe, closed with it.
struct Pipe {
    int ends[2];
    Pipe() { REQUIRE(::pipe(ends) == 0); }
    ~Pipe() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    void fill() const { REQUIRE(::write(ends[1], "x", 1) == 1); }
    void drain() const {
        char c;
        REQUIRE(::read(ends[0], &c, 1) == 1);
    }
};

}  // namespace

TEST_CASE("a watch calls again for each readiness until it is taken away") {
    asio::io_context context;
    const auto reactor = smtp::make_reactor(context);
    const Pipe pipe;
    int calls = 0;
    pipe.fill();
    pipe.fill();
    reactor->watch(pipe.ends[0], {.readable = true}, [&](Reactor::Readiness ready) {
        CHECK(ready.readable);
        pipe.drain();
        if (++calls == 2) reactor->unwatch(pipe.ends[0]);
    });
    context.run();
    CHECK(calls == 2);
}

TEST_CASE("a callback may watch its own descriptor anew") {
    asio::io_context context;
    const auto reactor = smtp::make_reactor(context);
    const Pipe pipe;
    std::string calls;
    pipe.fill();
    reactor->watch(pipe.ends[0], {.readable = true}, [&](Reactor::Readiness) {
        calls += 'a';
        reactor->watch(pipe.ends[0], {.readable = true}, [&](Reactor::Readiness) {
            calls += 'b';
            reactor->unwatch(pipe.ends[0]);
        });
    });
    context.run();
    CHECK(calls == "ab");
}

TEST_CASE("a destroyed timer never runs") {
    asio::io_context context;
    const auto reactor = smtp::make_reactor(context);
    std::string calls;
    auto cancelled = reactor->after(0ms, [&] { calls += "cancelled"; });
    const auto running = reactor->after(1ms, [&] { calls += "ran"; });
    cancelled.reset();
    context.run();
    CHECK(calls == "ran");
}

TEST_CASE("background work runs on another thread and its value comes back to the loop") {
    asio::io_context context;
    asio::thread_pool pool(1);
    const auto loop_thread = std::this_thread::get_id();
    std::thread::id worker, resumed;
    std::unique_ptr<int> value;
    asio::co_spawn(
        context,
        [&]() -> smtp::Task<void> {
            auto work = [&] {
                worker = std::this_thread::get_id();
                return std::make_unique<int>(42);
            };
            value = co_await smtp::in_background(pool, std::move(work));
            resumed = std::this_thread::get_id();
        },
        asio::detached);
    context.run();
    REQUIRE(value);
    CHECK(*value == 42);
    CHECK(worker != loop_thread);
    CHECK(resumed == loop_thread);
}

TEST_CASE("a callback's value is what the coroutine goes on with") {
    asio::io_context context;
    std::function<void(std::string)> later;
    std::string got;
    asio::co_spawn(
        context,
        [&]() -> smtp::Task<void> {
            auto start = [&](auto then) { later = std::move(then); };
            got = co_await smtp::from_callback<std::string>(start);
        },
        asio::detached);
    context.poll();
    CHECK(got.empty());
    later("answer");
    context.restart();
    context.poll();
    CHECK(got == "answer");
}

TEST_CASE("a callback may be called before it is waited for") {
    asio::io_context context;
    std::string got;
    auto ask_often = [&]() -> smtp::Task<void> {
        for (int i = 0; i < 3; ++i) {
            auto start = [&](auto then) { then("now "); };
            got += co_await smtp::from_callback<std::string>(start);
        }
    };
    smtp::spawn(context, ask_often());
    context.run();
    CHECK(got == "now now now ");
}

TEST_CASE("a group runs no more at once than its limit, and idle waits for the last") {
    smtp::Loop loop;
    smtp::TaskGroup group(loop, 2);
    int running = 0, most = 0, finished = 0;
    bool idle = false;
    auto task = [&]() -> smtp::Task<void> {
        most = std::max(most, ++running);
        co_await smtp::pause(1ms);
        --running;
        ++finished;
    };
    auto all = [&]() -> smtp::Task<void> {
        for (int i = 0; i < 5; ++i) {
            co_await group.room();
            group.start(task());
        }
        co_await group.idle();
        idle = true;
    };
    smtp::spawn(loop, all());
    loop.run();
    CHECK(idle);
    CHECK(finished == 5);
    CHECK(most == 2);
}

TEST_CASE("a signal wakes all who wait, and a wait may be bounded") {
    smtp::Loop loop;
    smtp::Signal signal(loop);
    int woken = 0;
    auto waiter = [&]() -> smtp::Task<void> {
        co_await signal.wait();
        ++woken;
    };
    auto bounded = [&]() -> smtp::Task<void> {
        co_await signal.wait_for(1ms);
        signal.notify();
    };
    smtp::spawn(loop, waiter());
    smtp::spawn(loop, waiter());
    smtp::spawn(loop, bounded());
    loop.run();
    CHECK(woken == 2);
}
