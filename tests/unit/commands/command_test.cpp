#include "commands/command.hpp"

#include "commands/terminal.hpp"
#include "scratch_folder.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::commands;

TEST_CASE("an error that ends a command has its code of sysexits.h") {
    struct Row {
        Error::Kind kind;
        int code;
    };
    using Kind = Error::Kind;
    const Row rows[] = {
        {Kind::io, 74},         {Kind::not_found, 66},   {Kind::exists, 73},   {Kind::busy, 75},
        {Kind::permission, 77}, {Kind::parse, 65},       {Kind::protocol, 69}, {Kind::config, 78},
        {Kind::usage, 64},      {Kind::unavailable, 69},
    };
    for (const auto& row : rows) {
        CAPTURE(row.code);
        CHECK(exit_code(row.kind) == row.code);
        Terminal terminal;
        CHECK(finish(terminal.environment, fail(row.kind, "Pickup: disk full")) == row.code);
        CHECK(terminal.error.str() == "mailroot: Pickup: disk full\n");
        CHECK(terminal.out.str().empty());
    }
}

TEST_CASE("settings come from the mailroot's own file where it has one") {
    const ScratchFolder root;
    Terminal terminal({"delivery.hops=3"});
    terminal.environment.options.root = root.path();
    CHECK(settings_of(terminal.environment)->delivery.port == 25);

    root.write("mailroot.json", R"({"delivery": {"port": 2525}})");
    const auto settings = settings_of(terminal.environment);
    REQUIRE(settings);
    CHECK(settings->delivery.port == 2525);
    CHECK(settings->delivery.hops == 3);
    CHECK_FALSE(settings->hostname.empty());
}

TEST_CASE("a configuration that is named must be there, and is read in the mailroot's stead") {
    const ScratchFolder root;
    root.write("mailroot.json", "not JSON");
    Terminal terminal;
    terminal.environment.options.root = root.path();
    terminal.environment.options.config = root.path() / "other.json";
    const auto missing = settings_of(terminal.environment);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::config);

    root.write("other.json", R"({"delivery": {"port": 26}})");
    CHECK(settings_of(terminal.environment)->delivery.port == 26);
}
