#include "os/program.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace mailroot;
using namespace std::chrono_literals;

namespace {

Result<std::string> run(const std::string& script, std::chrono::milliseconds most = 20s) {
    return os::output_of({"sh", "-c", script}, most);
}

}  // namespace

TEST_CASE("a program's output is what it wrote, and no shell reads its arguments") {
    CHECK(os::output_of({"printf", "%s\\n", "$HOME `id` 'a b'"}, 20s) == "$HOME `id` 'a b'\n");
    CHECK(run("echo one; echo two >&2; echo three") == "one\nthree\n");
    CHECK(run("cat; echo read") == "read\n");
    CHECK(run("exec >&-; echo gone >&2") == "");
}

TEST_CASE("a program has no descriptor of ours") {
    // 3 is the folder that ls itself reads.
    CHECK(run("ls /proc/self/fd") == "0\n1\n2\n3\n");
}

TEST_CASE("how a program failed is said") {
    struct Row {
        std::vector<std::string> command;
        std::string said;
    };
    const Row rows[] = {
        {{"/no/such/program"}, "/no/such/program: cannot be run: No such file or directory"},
        {{"sh", "-c", "echo secret; exit 3"}, "sh: ended with 3"},
        {{"sh", "-c", "kill -TERM $$"}, "sh: was ended by signal 15"},
        {{"yes"}, "yes: writes without end"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.said);
        const auto output = os::output_of(row.command, 20s);
        REQUIRE_FALSE(output);
        CHECK(output.error().what == row.said);
    }
}

TEST_CASE("a program that hangs is killed with its children") {
    for (const std::string script : {"sleep 600", "sleep 600 & wait", "exec >&-; sleep 600"}) {
        CAPTURE(script);
        const auto begun = std::chrono::steady_clock::now();
        const auto output = run(script, 200ms);
        REQUIRE_FALSE(output);
        CHECK(output.error().what == "sh: takes too long");
        CHECK(std::chrono::steady_clock::now() - begun < 10s);
    }
}

TEST_CASE("a child that a program leaves behind is not waited for") {
    CHECK(run("echo said; sleep 2 &") == "said\n");
}
