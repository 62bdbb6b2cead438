#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace mailroot::smtp {

/// A time by which something must have happened. Made to be set for every read: moving it on costs
/// no system call and no wake-up, for the timer sleeps on and looks again when it runs out.
class Deadline {
 public:
    /// `missed` is called once for each deadline that passes, never after the destructor.
    Deadline(const asio::any_io_executor& executor, std::function<void()> missed);

    void set(std::chrono::milliseconds from_now);
    void clear();

    /// The deadline last set has passed.
    [[nodiscard]] bool passed() const;

 private:
    struct State;
    static void sleep(const std::shared_ptr<State>& state);

    std::shared_ptr<State> state_;  ///< a sleeping timer's handler holds it weakly
};

}  // namespace mailroot::smtp
