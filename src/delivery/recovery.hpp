#pragma once

#include "delivery/context.hpp"
#include "delivery/folder_events.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <set>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// Brings what a crash left between two folders to its next state (folders/recovery.hpp), once;
/// gives what could not be done.
smtp::Task<std::vector<Error>> recover(const Context& context);

/// Does so for as long as the service runs: other processes may crash beside it. And follows the
/// folders of which nothing else is to be known, Drop and Badmail.
class Recovery {
 public:
    /// All must outlive it.
    Recovery(const Context& context, Reactor& reactor);

    /// A first time, to its end.
    smtp::Task<void> recover_now();

    /// Again and again, until stop().
    smtp::Task<void> run();
    void stop();

 private:
    void say_new(const std::vector<Error>& errors);

    const Context& context_;
    FolderEvents drop_;
    FolderEvents badmail_;
    std::set<std::string> wrong_;  ///< what the last recovery could not do
    smtp::Signal changed_;
    std::chrono::milliseconds took_{};  ///< the last one
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
