#include "delivery/retention_policy.hpp"

#include <cstdint>

namespace mailroot::delivery {

namespace {

bool exceeds(std::uint64_t value, std::uint64_t limit) {
    return limit != 0 && value > limit;
}

}  // namespace

std::vector<Going> what_goes(const config::Settings::Badmail& policy,
                             const folders::Badmail::Stock& stock, TimePoint now) {
    std::vector<Going> going;
    auto octets = stock.octets;
    auto count = stock.count;
    for (const auto& entry : stock.oldest) {
        const bool too_old =
            policy.keep != policy.keep.zero() && now - entry.arrival >= policy.keep;
        if (too_old) {
            going.push_back({entry.id, GoesBy::keep});
        } else if (exceeds(octets, policy.max_size)) {
            going.push_back({entry.id, GoesBy::max_size});
        } else if (exceeds(count, policy.max_count)) {
            going.push_back({entry.id, GoesBy::max_count});
        } else {
            break;  // what came later is younger, and no more is too much
        }
        octets -= entry.octets;
        --count;
    }
    return going;
}

}  // namespace mailroot::delivery
