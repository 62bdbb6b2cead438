#pragma once

#include "commands/command.hpp"

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mailroot::commands {

/// What a command that takes entries out of a folder is told: which, and how to say so.
struct TakingOutOptions {
    std::vector<std::string> names;
    bool all = false;
    bool dry_run = false;
    bool json = false;
};

/// Describes these options to CLI11; `meaning` ends the sentences of their help: `to remove`.
void add_taking_out_options(CLI::App& command, TakingOutOptions& options,
                            const std::string& meaning);

/// One entry of the folder.
struct Takeable {
    std::string name;
    /// Takes it out; false where it is gone or in another process's hands.
    std::function<Result<bool>()> take;
};

/// Takes out the selected ones among `entries` and prints their names, as text or as JSON:
///     <done>     names of those taken out (with --dry-run: that would be), `removed`, `requeued`
///     inHand     names of those in another process's hands
/// Gives the exit code: 75 where something is in another's hands, else 0. Kind::usage where nothing
/// was selected, not_found where a named one is not there, before anything is done.
Result<int> take_out(const TakingOutOptions& options, const std::vector<Takeable>& entries,
                     const std::string& done, Environment& environment);

}  // namespace mailroot::commands
