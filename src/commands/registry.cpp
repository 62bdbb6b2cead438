#include "commands/registry.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <ostream>
#include <sstream>

namespace mailroot::commands {

namespace {

constexpr std::array k_commands{
    Command{"badmail-report", "list what could neither go nor be returned, and why",
            add_badmail_report},
    Command{"badmail-requeue", "send again what is in Badmail", add_badmail_requeue},
    Command{"config-check", "validate the configuration and print what is in force",
            add_config_check},
    Command{"mx-lookup", "print where mail for a name goes", add_mx_lookup},
    Command{"pickup-drain", "send what lies in Pickup, once", add_pickup_drain},
    Command{"queue-remove", "take messages out of Queue", add_queue_remove},
    Command{"queue-report", "list what waits in Queue, for whom, why and until when",
            add_queue_report},
    Command{"queue-retry", "attempt what is due in Queue, once", add_queue_retry},
    Command{"send", "compose or pass on one message", add_send},
    Command{"serve", "run the SMTP server and the delivery loop", add_serve},
};
static_assert(std::ranges::is_sorted(k_commands, {}, &Command::name));

void add_global_options(CLI::App& app, GlobalOptions& options) {
    app.add_option("--root", options.root, "the mailroot folder")
        ->envname("MAILROOT")
        ->type_name("DIR")
        ->capture_default_str();
    app.add_option("--config", options.config,
                   "the configuration; default: mailroot.json of --root")
        ->type_name("FILE");
    app.add_option("--set", options.overrides, "override one setting: key.path=VALUE")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    app.add_flag("-v", options.verbose, "say more on stderr");
    app.add_flag("-q", options.quiet, "say on stderr only what must be looked at");
    app.set_version_flag("--version", "mailroot " MAILROOT_VERSION);
}

/// The exit code, once the result has really been written: a full disk must not pass for an empty
/// report.
int printed(Environment& environment, int code) {
    if (environment.out.flush()) return code;
    environment.error << "mailroot: standard output: cannot be written\n";
    return k_io_error;
}

/// What CLI11 found wrong, on one line with the way to the help.
int refuse(const CLI::App& app, const CLI::ParseError& error, Environment& environment) {
    if (error.get_exit_code() == 0) {
        app.exit(error, environment.out, environment.out);
        return printed(environment, k_done);
    }
    environment.error << "mailroot: " << error.what() << "; mailroot --help lists what there is\n";
    return k_usage;
}

}  // namespace

int run(int argc, const char* const* argv, Environment& environment) {
    CLI::App app("The IIS SMTP service's mailroot folder, on Linux", "mailroot");
    app.require_subcommand(1);
    app.fallthrough();
    add_global_options(app, environment.options);
    for (const auto& command : k_commands) {
        auto* const added =
            app.add_subcommand(std::string(command.name), std::string(command.summary));
        command.add(*added, environment);
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return refuse(app, error, environment);
    }
    return printed(environment, environment.run());
}

}  // namespace mailroot::commands
