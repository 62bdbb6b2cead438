#pragma once

#include "delivery/context.hpp"
#include "delivery/pickup_courier.hpp"
#include "delivery/queue_pass.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// What one emptying of Pickup did.
struct PickupPassResult : PassResult {
    std::vector<std::string> left;  ///< names that were not whole, or went back
};

/// Sends what lies in Pickup, once. Files not known to be whole are looked at again after `wait`,
/// and left where they are when they changed meanwhile.
smtp::Task<PickupPassResult> run_pickup_pass(Context& context, Courier& courier,
                                             PickupCourier& pickup_courier,
                                             std::chrono::milliseconds wait);

}  // namespace mailroot::delivery
