#pragma once

#include "core/result.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

namespace mailroot::os {

/// Lets all who need the same thing synced at the same time share one sync. Each waits for one that
/// began after the call, so that it covers what the caller did before; those who come while one
/// runs share the next.
class SharedSync {
 public:
    /// Blocks. One of those who share calls `sync`; all get its result.
    Result<void> run(const std::function<Result<void>()>& sync);

 private:
    struct Round {
        bool done = false;
        Result<void> result;
    };

    std::mutex mutex_;
    std::condition_variable changed_;
    bool running_ = false;
    std::shared_ptr<Round> next_ = std::make_shared<Round>();
};

}  // namespace mailroot::os
