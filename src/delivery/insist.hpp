#pragma once

#include "delivery/context.hpp"
#include "smtp/loop.hpp"

#include <chrono>

namespace mailroot::delivery {

/// Does on the disk what only this process knows has to be done (some have the message, and that
/// stands nowhere yet): tried until the disk takes it. The claim, which is kept meanwhile, keeps
/// all others from doing it twice; a full or ill disk is said in the log once.
template <class Work>
smtp::Task<void> insist(const Context& context, Work work) {
    constexpr std::chrono::seconds k_pause{2};
    for (bool first = true;; first = false) {
        auto again = [&work] { return work(); };
        const auto done = co_await on_disk(context, again);
        if (done) co_return;
        if (first) context.log.warning(done.error().what);
        co_await smtp::pause(k_pause);
    }
}

}  // namespace mailroot::delivery
