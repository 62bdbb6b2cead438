#pragma once

#include "delivery/complaints.hpp"
#include "delivery/context.hpp"
#include "smtp/loop.hpp"

#include <set>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// Brings what a crash left between two folders to its next state (folders/recovery.hpp), once;
/// gives what could not be done.
smtp::Task<std::vector<Error>> recover(const Context& context);

/// Does so for as long as the service runs: other processes may crash beside it.
class Recovery {
 public:
    /// `context` must outlive it.
    explicit Recovery(const Context& context)
        : context_(context), complaints_(context.log), changed_(context.loop) {}

    smtp::Task<void> run();
    void stop();

 private:
    smtp::Task<void> follow_folders();
    void say_new(const std::vector<Error>& errors);

    const Context& context_;
    Complaints complaints_;
    std::set<std::string> wrong_;  ///< what the last recovery could not do
    smtp::Signal changed_;
    bool stopping_ = false;
};

}  // namespace mailroot::delivery
