#pragma once

#include "delivery/context.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <cstdint>

namespace mailroot::delivery {

/// How much the disk and the Drop quota still take. Looked at again once what is known is a few
/// seconds old; what we add meanwhile is counted. While one looks, others go by what was known
/// before, which at first is nothing: then storing tells.
class Room {
 public:
    explicit Room(const Context& context) : context_(context) {}

    /// Whether a message of so many octets leaves `limits.minFree` on the disk. Where the disk
    /// cannot be looked at it is said to, for storing will tell.
    smtp::Task<bool> on_disk_for(std::uint64_t octets);

    /// Whether `drop.quota` is used up.
    smtp::Task<bool> drop_is_full();

    /// A message was stored; in Drop where `dropped`.
    void took(std::uint64_t octets, bool dropped);

 private:
    using SteadyPoint = std::chrono::steady_clock::time_point;

    const Context& context_;
    SteadyPoint disk_known_until_;
    std::uint64_t free_ = UINT64_MAX;
    bool has_inodes_ = true;
    SteadyPoint drop_known_until_;
    std::uint64_t dropped_ = 0;
};

}  // namespace mailroot::delivery
