#pragma once

#include <chrono>

namespace mailroot {

/// Wall-clock time, as file times and message dates have it.
using TimePoint = std::chrono::system_clock::time_point;

/// Where the time comes from. Code that needs it takes a TimePoint or, where it must ask more than
/// once, a Clock; only `commands/` names SystemClock.
class Clock {
 public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual TimePoint now() const = 0;
};

/// The time of this machine.
class SystemClock final : public Clock {
 public:
    [[nodiscard]] TimePoint now() const override { return std::chrono::system_clock::now(); }
};

}  // namespace mailroot
