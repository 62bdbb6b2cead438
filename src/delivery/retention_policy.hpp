#pragma once

#include "config/settings.hpp"
#include "core/clock.hpp"
#include "core/message_id.hpp"
#include "folders/badmail.hpp"

#include <vector>

namespace mailroot::delivery {

/// Which setting an entry of Badmail goes by.
enum class GoesBy { keep, max_size, max_count };

struct Going {
    MessageId id;
    GoesBy by;
};

/// Which of the oldest entries have to go, oldest first: what is as old as the policy keeps it,
/// then as many more as bring the whole stock down to its size and count.
[[nodiscard]] std::vector<Going> what_goes(const config::Settings::Badmail& policy,
                                           const folders::Badmail::Stock& stock, TimePoint now);

}  // namespace mailroot::delivery
