#pragma once

#include "core/event_log.hpp"
#include "core/result.hpp"

#include <map>
#include <string>

namespace mailroot::delivery {

/// Says once what is wrong, however often it is looked at.
class Complaints {
 public:
    explicit Complaints(EventLog& log) : log_(log) {}

    /// A file stays where it is.
    void say(const std::string& file, const Error& reason) {
        if (is_new(file, reason)) log_.set_aside(file, reason);
    }

    /// A folder cannot be used; `reason` names it.
    void warn(const std::string& folder, const Error& reason) {
        if (is_new(folder, reason)) log_.warning(reason.what);
    }

    /// It is well, or gone.
    void forget(const std::string& name) { said_.erase(name); }

 private:
    bool is_new(const std::string& name, const Error& reason) {
        auto& said = said_[name];
        if (said == reason.what) return false;
        said = reason.what;
        return true;
    }

    EventLog& log_;
    std::map<std::string, std::string> said_;
};

}  // namespace mailroot::delivery
