#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace mailroot {

/// The event loop as libraries with sockets of their own need it (c-ares, libcurl, inotify): one
/// thread, callbacks, nothing else. The loop itself is Asio's, in `smtp/`; this interface keeps
/// Asio out of every other folder.
class Reactor {
 public:
    /// What a descriptor is watched for, and what it turned out to be ready for.
    struct Readiness {
        bool readable = false;
        bool writable = false;
    };

    /// A running timer; destroying it cancels it. Must not outlive its Reactor.
    class Timer {
     public:
        virtual ~Timer() = default;
    };

    virtual ~Reactor() = default;

    /// Calls `ready` whenever `fd` is ready for what `wanted` names, until unwatch(fd); a second
    /// watch of the same fd replaces the first. The descriptor stays the caller's, who calls
    /// unwatch before closing it. `ready` may watch and unwatch any descriptor, its own included.
    virtual void watch(int fd, Readiness wanted, std::function<void(Readiness)> ready) = 0;
    virtual void unwatch(int fd) = 0;

    /// Calls `then` once after `delay` by the monotonic clock.
    [[nodiscard]] virtual std::unique_ptr<Timer> after(std::chrono::milliseconds delay,
                                                       std::function<void()> then) = 0;

    /// Calls `work` soon, from the loop, never from within post(). The one call that other threads
    /// may make too.
    virtual void post(std::function<void()> work) = 0;
};

}  // namespace mailroot
