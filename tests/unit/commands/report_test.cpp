#include "commands/registry.hpp"
#include "commands/terminal.hpp"
#include "folders/mailroot_fixture.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace mailroot;
using namespace mailroot::commands;

namespace {

struct Seen {
    int code;
    std::string out, error;
};

/// Runs a command line as main() does.
Seen run_line(const std::vector<std::string>& words) {
    Terminal terminal;
    std::vector<const char*> arguments{"mailroot"};
    for (const auto& word : words) arguments.push_back(word.c_str());
    const int code =
        run(static_cast<int>(arguments.size()), arguments.data(), terminal.environment);
    return {code, terminal.out.str(), terminal.error.str()};
}

}  // namespace

TEST_CASE_FIXTURE(MailrootFixture, "queue-report tells who waits, for whom and why") {
    const auto id = queued(
        "x-sender: <s@a.example>\r\nx-received: <a@b.example>\r\nx-receiver: <c@d.example>\r\n",
        "Subject: s\r\n\r\nx\r\n");
    write("Queue/" + id.text() + ".json",
          R"({"attempts": 2, "recipients": {"c@d.example": {"attempts": 2, "when":
              "2026-11-24T01:48:12Z", "host": "mx [192.0.2.1]", "reply": "451 later"}}})");
    const auto root = scratch.path().string();
    const auto seen = run_line({"queue-report", "--json", "--root", root});
    CHECK(seen.code == 0);
    const auto json = nlohmann::json::parse(seen.out);
    REQUIRE(json["messages"].size() == 1);
    const auto& message = json["messages"][0];
    CHECK(message["id"] == id.text());
    CHECK(message["state"] == "deferred");
    CHECK(message["sender"] == "s@a.example");
    CHECK(message["recipients"][0]["settled"] == true);
    CHECK(message["recipients"][1]["lastHost"] == "mx [192.0.2.1]");
    CHECK(message["reason"] == "451 later");
    CHECK(message["attempts"] == 2);

    const auto table = run_line({"--root", root, "queue-report"});
    CHECK(table.out.find("c@d.example") != std::string::npos);
    CHECK(table.out.find("a@b.example") == std::string::npos);
    CHECK(table.out.ends_with("1 message waits\n"));
}

TEST_CASE_FIXTURE(MailrootFixture, "queue-report names the files that cannot be used") {
    write("Queue/by hand.eml", "x");
    const auto damaged = queued("nonsense", "");
    write("outside", "x");
    std::filesystem::create_symlink(scratch.path() / "outside", scratch.path() / "Pickup/link");
    const auto seen = run_line({"queue-report", "--json", "--root", scratch.path().string()});
    const auto json = nlohmann::json::parse(seen.out);
    std::set<std::string> files_named;
    for (const auto& file : json["unusable"]) files_named.insert(file["file"]);
    CHECK(files_named == std::set<std::string>{"Queue/by hand.eml", "Pickup/link",
                                               "Queue/" + damaged.text() + ".eml"});
}

TEST_CASE_FIXTURE(MailrootFixture, "reports refuse what is not there, by name") {
    const auto root = scratch.path().string();
    for (const auto* command : {"queue-report", "queue-retry", "badmail-report"}) {
        CAPTURE(command);
        const auto id = ids.next().text();
        const auto seen = run_line({command, id, "--root", root});
        CHECK(seen.code == 66);
        CHECK(seen.error.find(id) != std::string::npos);
        CHECK(seen.out.empty());
        const auto no_root = run_line({command, "--root", root + "/none"});
        CHECK(no_root.code == 66);
        CHECK(no_root.error.find("/none") != std::string::npos);
    }
}

TEST_CASE("a wrong command line is refused on one line") {
    const std::vector<std::vector<std::string>> rows{
        {},
        {"no-such-command"},
        {"serve", "--no-such-flag"},
        {"send", "--via", "pigeon"},
        {"send", "--subject", "nobody"},
        {"send", "-t", "--to", "a@b.example"},
        {"queue-retry", "--set"},
    };
    for (const auto& row : rows) {
        const auto seen = run_line(row);
        CAPTURE(seen.error);
        CHECK(seen.code == 64);
        CHECK(seen.error.starts_with("mailroot: "));
        CHECK(std::ranges::count(seen.error, '\n') == 1);
        CHECK(seen.out.empty());
    }
}

TEST_CASE("a result that cannot be written is no success") {
    Terminal terminal;
    terminal.out.setstate(std::ios::badbit);
    const char* const arguments[] = {"mailroot", "config-check", "--set", "hostname=mx.example"};
    CHECK(run(4, arguments, terminal.environment) == 74);
    CHECK(terminal.error.str() == "mailroot: standard output: cannot be written\n");
}
