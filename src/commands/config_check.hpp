#pragma once

#include "commands/command.hpp"

namespace mailroot::commands {

struct ConfigCheckOptions {
    bool json = false;  ///< the document that `mailroot.json` could be, instead of a table
};

/// Prints the settings in force, or says what is wrong with the configuration (78).
Result<int> run_config_check(const ConfigCheckOptions& options, Environment& environment);

}  // namespace mailroot::commands
