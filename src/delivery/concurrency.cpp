#include "delivery/concurrency.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

// What a host that lets us in is taken to bear (Postfix: default_destination_concurrency_limit).
constexpr double k_first_window = 20;

constexpr int k_most_lost = 3;

}  // namespace

void Concurrency::greeted() {
    dead_until_ = {};
    if (greeted_) return;
    greeted_ = true;
    window_ = std::min(k_first_window, static_cast<double>(most_));
}

void Concurrency::answered() {
    lost_in_a_row_ = 0;
    window_ = std::min(window_ + 1 / window_, static_cast<double>(most_));
}

void Concurrency::refused(std::size_t others) {
    window_ = std::min(window_, std::max(1.0, static_cast<double>(others)));
}

void Concurrency::unreachable(Time now) {
    window_ = 1;
    greeted_ = false;
    lost_in_a_row_ = 0;
    dead_until_ = now + rest_;
}

void Concurrency::lost(Time now) {
    if (++lost_in_a_row_ == k_most_lost) unreachable(now);
}

}  // namespace mailroot::delivery
