#include "delivery/room.hpp"

#include "folders/drop.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto k_disk_known_for = 1s;
// A folder is read file by file: the longer that takes, the longer it has to do.
constexpr auto k_drop_known_for = 5s;
constexpr int k_drop_rest = 20;

}  // namespace

smtp::Task<bool> Room::on_disk_for(std::uint64_t octets) {
    const auto least = context_.settings.limits.min_free;
    if (least == 0) co_return true;
    if (steady_clock::now() >= disk_known_until_) {
        disk_known_until_ = steady_clock::now() + k_disk_known_for;
        auto look = [this] { return context_.mailroot.files.space(context_.mailroot.queue); };
        const auto space = co_await on_disk(context_, look);
        if (!space) context_.log.warning(space.error().what);
        free_ = space ? space->octets : UINT64_MAX;
        has_inodes_ = !space || space->has_inodes;
    }
    co_return has_inodes_&& free_ >= least&& free_ - least >= octets;
}

smtp::Task<bool> Room::drop_is_full() {
    const auto quota = context_.settings.drop.quota;
    if (quota == 0) co_return false;
    const auto began = steady_clock::now();
    if (began >= drop_known_until_) {
        drop_known_until_ = began + k_drop_known_for;
        auto look = [this] { return folders::Drop(context_.mailroot).octets(); };
        const auto octets = co_await on_disk(context_, look);
        if (!octets) context_.log.warning(octets.error().what);
        const bool was_full = dropped_ >= quota;
        dropped_ = octets.value_or(0);
        if (dropped_ >= quota && !was_full) {
            context_.log.warning("drop.quota is used up: Drop holds " + std::to_string(dropped_) +
                                 " octets");
        }
        const auto now = steady_clock::now();
        drop_known_until_ =
            now + std::max<steady_clock::duration>(k_drop_known_for, (now - began) * k_drop_rest);
    }
    co_return dropped_ >= quota;
}

void Room::took(std::uint64_t octets, bool dropped) {
    free_ -= std::min(free_, octets);
    if (dropped) dropped_ += octets;
}

}  // namespace mailroot::delivery
