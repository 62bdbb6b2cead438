#include "commands/mx_lookup.hpp"

#include "commands/terminal.hpp"
#include "dns/nsd.hpp"

#include <CLI/CLI.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace mailroot;
using namespace mailroot::commands;
using Json = nlohmann::json;

namespace {

std::string records() {
    std::string text = R"(
$TTL 600
a                MX     20 second
a                MX     5 first
first            A      192.0.2.1
first            AAAA   2001:db8::1
second           TXT    "no address"
alias            CNAME  a
null             MX     0 .
plain            A      192.0.2.7
useless          TXT    "no address, no MX"
lost             MX     10 gone
xn--bcher-kva    MX     10 first
)";
    for (int i = 0; i < 40; ++i) {
        text += "many MX 10 a-mail-host-with-a-name-long-enough-" + std::to_string(10 + i) + "\n";
    }
    return text;
}

const Nsd& name_server() {
    static const Nsd nsd(records());
    return nsd;
}

struct Seen {
    int code;
    std::string out, error;
};

Seen look_up(const std::vector<std::string>& names, bool json = false,
             const std::string& input = {}) {
    Terminal terminal({"dns.servers=[\"" + name_server().server() + "\"]"}, input);
    const int code =
        finish(terminal.environment, run_mx_lookup({names, json}, terminal.environment));
    return {code, terminal.out.str(), terminal.error.str()};
}

}  // namespace

TEST_CASE("mx-lookup prints hosts by preference with their addresses") {
    const auto seen = look_up({"a.test"});
    CHECK(seen.code == 0);
    CHECK(seen.out ==
          "a.test  ttl 10m\n"
          "      5  first.test   2001:db8::1 192.0.2.1\n"
          "     20  second.test  (second.test has no address)\n");
    CHECK(seen.error.empty());
}

TEST_CASE("mx-lookup says for each name how mail for it fares") {
    struct Row {
        std::string name, out;
        int code;
    };
    const Row rows[] = {
        {"null.test", "null.test  null.test takes no mail (null MX)\n", 68},
        {"gone.test", "gone.test  no such domain: gone.test\n", 68},
        {"plain.test",
         "plain.test  no MX, its own address  ttl 10m\n      0  plain.test  192.0.2.7\n", 0},
        {"[192.0.2.9]", "[192.0.2.9]\n      0  192.0.2.9  192.0.2.9\n", 0},
        {"user@[IPv6:2001:db8::9]", "user@[IPv6:2001:db8::9]\n      0  2001:db8::9  2001:db8::9\n",
         0},
        {"a..test", "a..test  'a..test' is no domain or address\n", 65},
        {"user@", "user@  'user@' is no domain or address\n", 65},
        {"", "  '' is no domain or address\n", 65},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        const auto seen = look_up({row.name});
        CHECK(seen.out == row.out);
        CHECK(seen.code == row.code);
    }
}

TEST_CASE("mx-lookup names the aliases on the way") {
    const auto seen = look_up({"user@alias.test"});
    CHECK(seen.code == 0);
    CHECK(seen.out.starts_with("user@alias.test -> a.test  ttl 10m\n      5  first.test"));
}

TEST_CASE("mx-lookup asks for a name beyond ASCII by its A-labels") {
    const auto seen = look_up({"jörg@bücher.test"}, true);
    CHECK(seen.code == 0);
    const auto json = Json::parse(seen.out);
    CHECK(json[0]["name"] == "jörg@bücher.test");
    CHECK(json[0]["domain"] == "xn--bcher-kva.test");
    CHECK(json[0]["hosts"][0]["name"] == "first.test");
}

TEST_CASE("mx-lookup prints the same as JSON, in the order of the names") {
    const auto seen = look_up({"a.test.", "null.test", "alias.test", "plain.test", "useless.test",
                               "lost.test", "gone.test", "elsewhere.example", "a..b"},
                              true);
    CHECK(seen.code == 65);
    const auto json = Json::parse(seen.out);
    REQUIRE(json.size() == 9);
    CHECK(json[0] ==
          Json::parse(R"({"name": "a.test.", "domain": "a.test", "status": "found", "hosts": [
              {"name": "first.test", "preference": 5,
               "addresses": ["2001:db8::1", "192.0.2.1"], "error": ""},
              {"name": "second.test", "preference": 20, "addresses": [],
               "error": "second.test has no address"}],
              "implicit": false, "aliases": [], "ttl": 600, "error": ""})"));
    CHECK(json[1]["status"] == "null_mx");
    CHECK(json[2]["aliases"] == Json::parse(R"(["a.test"])"));
    CHECK(json[3]["implicit"] == true);
    CHECK(json[4]["status"] == "no_address");
    CHECK(json[5]["status"] == "no_address");
    CHECK(json[5]["hosts"][0]["error"] == "no such domain: gone.test");
    CHECK(json[6]["status"] == "no_such_domain");
    CHECK(json[7]["status"] == "temporary");
    CHECK(json[8]["status"] == "bad_name");
    CHECK(json[8]["domain"] == "");
    for (const auto& one : json) CHECK((one["error"] == "") == (one["status"] == "found"));
}

TEST_CASE("of several names the worst decides the exit code") {
    CHECK(look_up({"a.test", "elsewhere.example"}).code == 75);
    CHECK(look_up({"elsewhere.example", "null.test", "a.test"}).code == 68);
    CHECK(look_up({"elsewhere.example", "null.test", "a b"}).code == 65);
}

TEST_CASE("mx-lookup names every host of an answer too large for UDP") {
    const auto seen = look_up({"many.test"}, true);
    CHECK(seen.code == 68);
    CHECK(Json::parse(seen.out)[0]["hosts"].size() == 40);
}

TEST_CASE("mx-lookup reads names from standard input, one a line") {
    const auto seen = look_up({"-"}, true, "a.test\r\n\n  user@plain.test  \n\"a b\"@null.test");
    CHECK(seen.code == 68);
    const auto json = Json::parse(seen.out);
    REQUIRE(json.size() == 3);
    CHECK(json[0]["name"] == "a.test");
    CHECK(json[1]["name"] == "user@plain.test");
    CHECK(json[2]["name"] == "\"a b\"@null.test");

    std::string many;
    for (int i = 0; i < 500; ++i) many += i % 3 == 0 ? "[192.0.2.1]\n" : "user@a.test\n";
    CHECK(Json::parse(look_up({"-"}, true, many).out).size() == 500);
    CHECK(look_up({"-"}, true, "").out == "[]\n");
}

TEST_CASE("mx-lookup refuses a configuration it cannot use") {
    Terminal terminal({"dns.servers=[\"dns.example\"]"});
    CHECK(finish(terminal.environment, run_mx_lookup({{"a.test"}, false}, terminal.environment)) ==
          78);
    CHECK(terminal.out.str().empty());
    CHECK(terminal.error.str().find("dns.servers") != std::string::npos);
}

TEST_CASE("mx-lookup runs as its command line says") {
    Terminal terminal({"dns.servers=[\"" + name_server().server() + "\"]"}, "plain.test\n");
    CLI::App app;
    add_mx_lookup(app, terminal.environment);
    app.parse("null.test - --json");
    REQUIRE(terminal.environment.run);
    CHECK(terminal.environment.run() == 68);
    const auto json = Json::parse(terminal.out.str());
    REQUIRE(json.size() == 2);
    CHECK(json[1]["name"] == "plain.test");

    CLI::App empty;
    add_mx_lookup(empty, terminal.environment);
    CHECK_THROWS_AS(empty.parse(""), CLI::RequiredError);
}
