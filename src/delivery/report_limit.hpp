#pragma once

#include "core/address.hpp"
#include "core/clock.hpp"
#include "core/quantity.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace mailroot::delivery {

/// Keeps count of the reports to each sender, so that they cannot fill a disk: one who is sent
/// thousands is no sender, but a loop or a forged address.
class ReportLimit {
 public:
    /// Counts a report; false where it is one too many. Of a rate of 0 there are never too many.
    [[nodiscard]] bool take(const Rate& rate, const Address& sender, TimePoint now);

    /// Senders that are remembered: those who were sent one within the last two spans or so.
    [[nodiscard]] std::size_t remembered() const { return senders_.size(); }

 private:
    /// So many in the span that runs.
    struct Window {
        TimePoint began;
        std::uint64_t count = 0;

        /// Also where the clock was set back behind its beginning.
        [[nodiscard]] bool is_over(const Rate& rate, TimePoint now) const {
            return now < began || now - began >= rate.per;
        }
    };

    std::map<std::string, Window> senders_;
    Window forgetting_;
};

}  // namespace mailroot::delivery
