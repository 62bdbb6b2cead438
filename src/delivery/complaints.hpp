#pragma once

#include "core/event_log.hpp"
#include "core/result.hpp"

#include <map>
#include <string>

namespace mailroot::delivery {

/// Says once what is wrong with a file that stays where it is, however often it is looked at.
class Complaints {
 public:
    explicit Complaints(EventLog& log) : log_(log) {}

    void say(const std::string& file, const Error& reason) {
        auto& said = said_[file];
        if (said == reason.what) return;
        said = reason.what;
        log_.set_aside(file, reason);
    }

    /// The file is well, or gone.
    void forget(const std::string& file) { said_.erase(file); }

 private:
    EventLog& log_;
    std::map<std::string, std::string> said_;
};

}  // namespace mailroot::delivery
