#pragma once

#include <chrono>
#include <cstddef>

namespace mailroot::delivery {

/// How many connections a destination is worth, from what came of the last ones: one until a host
/// let us in, then some, more with each message that it took, fewer where it refuses, and none for
/// a while where it cannot be reached (Postfix's SCHEDULER_README: concurrency window, dead
/// destination).
class Concurrency {
 public:
    using Time = std::chrono::steady_clock::time_point;

    /// Never more than `most` connections; a dead destination is left alone for `rest`.
    Concurrency(std::size_t most, std::chrono::milliseconds rest) : most_(most), rest_(rest) {}

    /// Connections that it may have at once, at least one: a dead one is probed.
    [[nodiscard]] std::size_t connections() const { return static_cast<std::size_t>(window_); }

    /// Whether it is to be left alone.
    [[nodiscard]] bool is_dead(Time now) const { return now < dead_until_; }
    [[nodiscard]] Time dead_until() const { return dead_until_; }

    /// A host let us in.
    void greeted();
    /// It answered for a message, whatever it said.
    void answered();
    /// It let no further connection in beside those `others`.
    void refused(std::size_t others);
    /// Nobody let us in.
    void unreachable(Time now);
    /// A new connection was lost, or ended with 421, before a message was answered for. One message
    /// may be the cause; several in a row make the destination dead.
    void lost(Time now);

 private:
    const std::size_t most_;
    const std::chrono::milliseconds rest_;
    double window_ = 1;
    bool greeted_ = false;
    int lost_in_a_row_ = 0;
    Time dead_until_{};
};

}  // namespace mailroot::delivery
