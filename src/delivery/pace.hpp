#pragma once

#include "core/quantity.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace mailroot::delivery {

/// Spaces messages evenly, so that a rate is kept in any stretch of time.
class Pace {
 public:
    using Time = std::chrono::steady_clock::time_point;

    /// Without a rate whatever comes goes.
    explicit Pace(const std::optional<Rate>& rate) {
        if (rate) gap_ = Time::duration(rate->per) / rate->count;
    }

    [[nodiscard]] bool is_free() const { return gap_ == Time::duration::zero(); }

    /// Whether a new one would give turns no earlier.
    [[nodiscard]] bool is_rested(Time now) const { return next_ <= now; }

    /// Takes the next turn; gives when that is, `now` or later.
    Time take(Time now) {
        const auto turn = std::max(now, next_);
        next_ = turn + gap_;
        return turn;
    }

 private:
    Time::duration gap_{};
    Time next_{};
};

}  // namespace mailroot::delivery
