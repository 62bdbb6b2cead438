#include "commands/registry.hpp"

#include <csignal>
#include <exception>
#include <iostream>

int main(int argc, char** argv) {
    using namespace mailroot;
    // A peer or a pipe that goes away is an error where it is written to, not the end of the
    // program.
    std::signal(SIGPIPE, SIG_IGN);
    const SystemClock clock;
    commands::Environment environment{{}, std::cin, std::cout, std::cerr, clock, {}};
    environment.options.root = "/var/spool/mailroot";
    try {
        return commands::run(argc, argv, environment);
    } catch (const std::exception& error) {
        std::cerr << "mailroot: " << error.what() << '\n';
        return commands::k_io_error;
    }
}
