#pragma once

#include "commands/command.hpp"

#include <sstream>
#include <string>
#include <vector>

/// An Environment whose streams are strings, in a mailroot that does not exist.
struct Terminal {
    explicit Terminal(std::vector<std::string> overrides = {}, const std::string& input = {})
        : in(input), environment{{}, in, out, error, clock, {}} {
        environment.options.root = "/nonexistent/mailroot";
        environment.options.overrides = std::move(overrides);
    }

    mailroot::SystemClock clock;
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream error;
    mailroot::commands::Environment environment;
};
