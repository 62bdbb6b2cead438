#pragma once

#include "config/settings.hpp"
#include "core/clock.hpp"
#include "core/result.hpp"

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace mailroot::commands {

/// The options in front of every command (DESIGN section 8).
struct GlobalOptions {
    std::filesystem::path root;  ///< `--root`, else MAILROOT, else /var/spool/mailroot
    std::filesystem::path
        config;  ///< `--config`; empty: <root>/mailroot.json, which need not exist
    std::vector<std::string> overrides;  ///< `--set key.path=VALUE`
    bool verbose = false;                ///< `-v`
    bool quiet = false;                  ///< `-q`
};

/// What a command works with. Commands write to these streams alone, so that tests can read them.
struct Environment {
    GlobalOptions options;
    std::istream& in;
    std::ostream& out;    ///< the result and nothing else
    std::ostream& error;  ///< diagnostics
    const Clock& clock;
    std::function<int()> run;  ///< set by the subcommand that was chosen; gives the exit code
};

/// One subcommand. `add` describes it to CLI11 and has its callback set Environment::run: parsing
/// opens no file, running parses nothing.
struct Command {
    std::string_view name;
    std::string_view summary;  ///< as the help and the manual's NAME line say it
    void (*add)(CLI::App& command, Environment& environment);
};

/// Exit codes (sysexits.h).
enum Exit : int {
    k_done = 0,
    k_usage = 64,
    k_bad_input = 65,  ///< something went to Badmail
    k_no_input = 66,   ///< no such mailroot or message
    k_no_host = 68,
    k_unavailable = 69,
    k_cannot_create = 73,
    k_io_error = 74,
    k_try_later = 75,  ///< something was deferred
    k_no_permission = 77,
    k_bad_config = 78,
};

/// The code for an error that ends a command.
[[nodiscard]] int exit_code(Error::Kind kind);

/// The exit code of what a command came to; an error is printed as `mailroot: <what>`.
int finish(Environment& environment, const Result<int>& code);

/// The configuration in force: `--config`, or what lies in the mailroot, and `--set`. The mailroot
/// itself need not exist.
Result<config::Settings> settings_of(const Environment& environment);

/// Has the chosen subcommand run with the options that were parsed; its error is printed, and gives
/// the exit code. `App` is CLI::App, which this header does not include.
template <class App, class Options>
void on_chosen(App& command, Environment& environment, std::shared_ptr<Options> options,
               Result<int> (*run)(const Options&, Environment&)) {
    command.callback([&environment, options = std::move(options), run] {
        environment.run = [&environment, options, run] {
            return finish(environment, run(*options, environment));
        };
    });
}

void add_badmail_report(CLI::App& command, Environment& environment);
void add_badmail_requeue(CLI::App& command, Environment& environment);
void add_config_check(CLI::App& command, Environment& environment);
void add_mx_lookup(CLI::App& command, Environment& environment);
void add_pickup_drain(CLI::App& command, Environment& environment);
void add_queue_remove(CLI::App& command, Environment& environment);
void add_queue_report(CLI::App& command, Environment& environment);
void add_queue_retry(CLI::App& command, Environment& environment);
void add_send(CLI::App& command, Environment& environment);
void add_serve(CLI::App& command, Environment& environment);

}  // namespace mailroot::commands
