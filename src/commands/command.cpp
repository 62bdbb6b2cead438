#include "commands/command.hpp"

#include "os/host.hpp"
#include "os/owner.hpp"

#include <ostream>

namespace mailroot::commands {

int exit_code(Error::Kind kind) {
    switch (kind) {
        case Error::Kind::io:
            return k_io_error;
        case Error::Kind::not_found:
            return k_no_input;
        case Error::Kind::exists:
            return k_cannot_create;
        case Error::Kind::busy:
            return k_try_later;
        case Error::Kind::permission:
            return k_no_permission;
        case Error::Kind::parse:
            return k_bad_input;
        case Error::Kind::protocol:
        case Error::Kind::unavailable:
            return k_unavailable;
        case Error::Kind::config:
            return k_bad_config;
        case Error::Kind::usage:
            return k_usage;
    }
    return k_io_error;
}

int finish(Environment& environment, const Result<int>& code) {
    if (code) return *code;
    environment.error << "mailroot: " << code.error().what << '\n';
    return exit_code(code.error().kind);
}

Result<config::Settings> settings_of(const Environment& environment) {
    const auto& options = environment.options;
    const bool named = !options.config.empty();
    const auto file = named ? options.config : options.root / "mailroot.json";
    MAILROOT_TRY(os::check_trusted(file));
    return config::load(file, !named, options.overrides, os::machine_name);
}

}  // namespace mailroot::commands
