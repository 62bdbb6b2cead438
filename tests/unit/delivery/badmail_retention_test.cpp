#include "delivery/badmail_retention.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

/// Badmail with five entries, which it may keep for ever.
struct RetentionFixture : DeliveryFixture {
    std::vector<std::string> bad;  ///< their files, oldest first

    RetentionFixture() {
        settings.badmail = {0s, 0, 0};
        for (int i = 0; i < 5; ++i) {
            bad.push_back(ids.next().text() + ".bad");
            write("Badmail/" + bad.back(), "x");
        }
    }
    void apply() {
        BadmailRetention retention(context, 2);
        run(retention.apply());
    }
};

}  // namespace

TEST_CASE_FIXTURE(RetentionFixture, "what is too much goes, however few are known by name") {
    int moved_on = 0;
    context.moved_on = [&] { ++moved_on; };
    settings.badmail.max_count = 1;
    apply();
    CHECK(names("Badmail") == std::set<std::string>{bad[4]});
    CHECK(moved_on == 4);
    CHECK(log.lines.empty());
}

TEST_CASE_FIXTURE(RetentionFixture, "all goes when all is too old, and not a moment before") {
    settings.badmail.keep = 1h;
    apply();
    CHECK(names("Badmail").size() == 5);
    hand_clock.time += 2h;
    apply();
    CHECK(names("Badmail").empty());
}

TEST_CASE_FIXTURE(RetentionFixture,
                  "what another has in hand stays, and nothing goes in its place") {
    const auto held = files.open(mailroot.badmail, bad[0], os::Files::Access::read);
    REQUIRE(files.lock(*held).value());
    settings.badmail.max_count = 1;
    apply();
    CHECK(names("Badmail") == std::set<std::string>{bad[0], bad[4]});
    CHECK(log.lines.empty());
}

TEST_CASE_FIXTURE(RetentionFixture, "what cannot be removed is told once, and keeps nothing else") {
    for (const auto i : {0U, 1U}) {
        std::filesystem::remove(scratch.path() / "Badmail" / bad[i]);
        std::filesystem::create_directory(scratch.path() / "Badmail" / bad[i]);
    }
    settings.badmail.keep = 1h;
    hand_clock.time += 2h;
    BadmailRetention retention(context);
    run(retention.apply());
    CHECK(names("Badmail") == std::set<std::string>{bad[0], bad[1]});
    REQUIRE(log.lines.size() == 1);
    CHECK(log.lines[0] == "warning Badmail/" + bad[0] + ": not a plain file");
}

TEST_CASE_FIXTURE(RetentionFixture, "where nothing is limited the folder is not even read") {
    files.count_looks = true;
    files.count = 0;
    apply();
    CHECK(files.count == 0);
}

TEST_CASE_FIXTURE(RetentionFixture, "a service that stops leaves the rest to the next one") {
    settings.badmail.max_count = 1;
    BadmailRetention retention(context);
    context.moved_on = [&] { retention.stop(); };
    run(retention.run());
    CHECK(names("Badmail").size() == 4);
}
