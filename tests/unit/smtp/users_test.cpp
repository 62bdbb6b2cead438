#include "smtp/users.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace mailroot;
using mailroot::smtp::Users;

namespace {

const std::string k_sha512 = "$6$salt$" + std::string(86, 'x');
const std::string k_yescrypt = "$y$j9T$salt$" + std::string(43, 'x');
const std::string k_scram =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

bool may(const Users& users, const std::string& name, const std::string& address) {
    return users.may_send_as(name, address.empty() ? Address{} : *parse_address(address));
}

}  // namespace

TEST_CASE("users and who they may send as") {
    const auto users = Users::parse(
        "# who may send\n\n  anybody:" + k_sha512 + "\r\nbound:" + k_yescrypt + " " +
        std::string("a@here.test\t@there.test @*.below.test @bücher.test\n") + "scram:" + k_scram);
    REQUIRE(users);
    CHECK(users->find("anybody")->hash == k_sha512);
    CHECK(users->find("scram")->scram.iterations == 4096);
    CHECK(users->has_scram());
    CHECK(users->find("Anybody") == nullptr);
    CHECK(may(*users, "anybody", "whoever@elsewhere.test"));
    CHECK(may(*users, "bound", ""));
    CHECK(may(*users, "bound", "A@Here.test"));
    CHECK(may(*users, "bound", "whoever@There.test"));
    CHECK(may(*users, "bound", "whoever@x.below.test"));
    CHECK(may(*users, "bound", "whoever@xn--bcher-kva.test"));
    CHECK(may(*users, "bound", "\"a\"@here.test"));
    CHECK_FALSE(may(*users, "bound", "whoever@below.test"));
    CHECK_FALSE(may(*users, "bound", "b@here.test"));
    CHECK_FALSE(may(*users, "bound", "a@x.there.test"));
    CHECK_FALSE(may(*users, "nobody", "a@here.test"));
}

TEST_CASE("an unknown name is held against one of the users, each time the same") {
    const auto users =
        Users::parse("fast:" + k_sha512 + "\nslow:" + k_yescrypt + "\nscram:" + k_scram);
    REQUIRE(users);
    std::set<const smtp::User*> chosen;
    for (int i = 0; i < 200; ++i) {
        const auto name = "nobody" + std::to_string(i);
        const auto* user = users->resembling(name, false);
        REQUIRE(user != nullptr);
        CHECK(users->resembling(name, false) == user);
        chosen.insert(user);
        CHECK(users->resembling(name, true) == users->find("scram"));
    }
    CHECK(chosen.size() == 3);
    CHECK(Users::parse("")->resembling("x", false) == nullptr);
    CHECK(Users::parse("fast:" + k_sha512)->resembling("x", true) == nullptr);
}

TEST_CASE("what is wrong with a users' file is said with its line") {
    struct {
        std::string text, error;
    } const rows[] = {
        {"joe", "line 1: expected name:hash"},
        {"joe:", "line 1: expected name:hash"},
        {":x", "line 1: expected name:hash"},
        {"\n#\njoe:secret", "line 3: the hash of 'joe' is of no kind that is slow to guess"},
        {"joe:$1$x$y", "line 1: the hash of 'joe' is of no kind"},
        {"joe:*", "line 1: the hash of 'joe' is of no kind"},
        {"joe:$6$", "line 1: the hash of 'joe' is not whole"},
        {"joe:" + k_sha512.substr(0, 40), "line 1: the hash of 'joe' is not whole"},
        {"joe:" + k_sha512 + ":19000:0:99999:7:::", "line 1: the hash of 'joe' is not whole"},
        {"joe:" + k_yescrypt + "x", "line 1: the hash of 'joe' is not whole"},
        {"joe:$2b$10$tooshort", "line 1: the hash of 'joe' is not whole"},
        {"joe:" + k_sha512 + "\njoe:" + k_sha512, "line 2: there is a 'joe' already"},
        {"joe:" + k_sha512 + " nonsense", "line 1: 'nonsense' is no sender"},
        {"joe:" + k_sha512 + " @", "line 1: '@' is no sender"},
        {"joe:SCRAM-SHA-256$1:AAAA$AAAA:AAAA", "line 1: expected SCRAM-SHA-256$4096"},
        {"joe:SCRAM-SHA-256$x", "line 1: expected SCRAM-SHA-256$4096"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto users = Users::parse(row.text);
        REQUIRE_FALSE(users);
        CHECK(users.error().kind == Error::Kind::config);
        CHECK_MESSAGE(users.error().what.starts_with(row.error), users.error().what);
    }
}
