#pragma once

#include <algorithm>
#include <chrono>

namespace mailroot::delivery {

/// How long to wait after a look at a whole folder that took `took`: `rescan`, and where events
/// tell of changes meanwhile, long enough that looking takes no more than one part in 200 of the
/// time.
[[nodiscard]] inline std::chrono::milliseconds until_next_look(std::chrono::milliseconds rescan,
                                                               std::chrono::milliseconds took,
                                                               bool events_told) {
    return events_told ? std::max(rescan, 200 * took) : rescan;
}

}  // namespace mailroot::delivery
