#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace mailroot {

/// Of any number of things the first ones in their order, with no more memory than for these.
template <class T, class Before>
class FirstOf {
 public:
    /// `before` orders two of them strictly.
    FirstOf(std::size_t most, Before before) : most_(most), before_(std::move(before)) {}

    void add(T one) {
        if (kept_.size() == most_ && (most_ == 0 || !before_(one, kept_.front()))) return;
        kept_.push_back(std::move(one));
        std::ranges::push_heap(kept_, before_);
        if (kept_.size() <= most_) return;
        std::ranges::pop_heap(kept_, before_);
        kept_.pop_back();
    }

    /// Those that were kept, in order; nothing is kept any more.
    std::vector<T> take() {
        std::ranges::sort_heap(kept_, before_);
        return std::exchange(kept_, {});
    }

 private:
    const std::size_t most_;
    const Before before_;
    std::vector<T> kept_;  ///< a heap, the last one on top
};

}  // namespace mailroot
