#include "os/shared_sync.hpp"

#include <utility>

namespace mailroot::os {

Result<void> SharedSync::run(const std::function<Result<void>()>& sync) {
    std::unique_lock lock(mutex_);
    const auto round = next_;
    changed_.wait(lock, [&] { return round->done || !running_; });
    if (round->done) return round->result;

    running_ = true;
    next_ = std::make_shared<Round>();
    lock.unlock();
    auto result = sync();
    lock.lock();
    running_ = false;
    round->done = true;
    round->result = result;
    changed_.notify_all();
    return result;
}

}  // namespace mailroot::os
