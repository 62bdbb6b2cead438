#pragma once

#include "commands/command.hpp"

namespace mailroot::commands {

/// Parses a command line and runs the chosen command; gives the exit code. Global options may stand
/// before or behind the subcommand's name.
int run(int argc, const char* const* argv, Environment& environment);

}  // namespace mailroot::commands
