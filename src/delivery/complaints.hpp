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
        const auto [said, added] = said_.try_emplace(name, reason);
        // What is wrong with a file's content has one wording; a disk in trouble names another
        // temporary file each time.
        const bool same = said->second.kind == reason.kind &&
                          (reason.kind != Error::Kind::parse || said->second.what == reason.what);
        said->second = reason;
        return added || !same;
    }

    EventLog& log_;
    std::map<std::string, Error> said_;
};

}  // namespace mailroot::delivery
