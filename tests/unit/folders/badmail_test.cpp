#include "folders/badmail.hpp"

#include "folders/disk_sequences.hpp"
#include "folders/mailroot_fixture.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

using namespace disk_work;

namespace {

const auto k_now = std::chrono::time_point_cast<std::chrono::seconds>(SystemClock().now());

/// An id drawn so long ago.
MessageId id_of_age(std::chrono::seconds age) {
    constexpr auto k_filetime_of_1970 = 11'644'473'600s;
    const auto since_1601 = k_now.time_since_epoch() - age + k_filetime_of_1970;
    return {static_cast<std::uint64_t>(since_1601.count()) * 10'000'000, 0};
}

/// A mailroot whose Badmail is filled by hand.
struct BadmailFixture : MailrootFixture {
    Badmail badmail{mailroot};

    /// Lays an entry of 10 + 3 + 2 octets there.
    void lay(const MessageId& id, std::chrono::seconds age) {
        const auto name = "Badmail/" + id.text();
        write(name + ".bad", "a bad mail");
        write(name + ".bdp", "{ }");
        write(name + ".bdr", "no");
        const auto file =
            files.open(mailroot.badmail, id.text() + ".bad", os::Files::Access::write);
        REQUIRE(files.set_modified(*file, k_now - age));
    }
};

}  // namespace

TEST_CASE_FIXTURE(BadmailFixture, "the stock is all that is ours, and names the first to come") {
    const auto second = id_of_age(3h), first = id_of_age(4h), third = id_of_age(2h);
    lay(second, 3h);
    lay(first, 4h);
    lay(third, 2h);
    write("Badmail/kept by hand.bad", "x");
    write("Badmail/." + id_of_age(9h).text() + ".ready", "x");
    write("Badmail/" + id_of_age(9h).text() + ".bdp", "x");
    const auto stock = badmail.stock(2);
    REQUIRE(stock);
    CHECK(stock->count == 3);
    CHECK(stock->octets == 3 * 15);
    REQUIRE(stock->oldest.size() == 2);
    CHECK(stock->oldest[0].id == first);
    CHECK(stock->oldest[0].arrival == k_now - 4h);
    CHECK(stock->oldest[0].octets == 15);
    CHECK(stock->oldest[1].id == second);
}

TEST_CASE_FIXTURE(BadmailFixture, "a message came when its file was written, or got its id") {
    struct Row {
        std::chrono::seconds id, file, came;
    };
    for (const auto& row : {Row{1h, 1h, 1h},        // no sooner written than refused
                            Row{48h, 1h, 1h},       // it had waited in Queue
                            Row{1h, 8760h, 1h}}) {  // of Pickup, with the time of its writer
        const auto id = id_of_age(row.id);
        CAPTURE(id.text());
        lay(id, row.file);
        const auto stock = badmail.stock(1);
        REQUIRE(stock);
        CHECK(stock->oldest.at(0).arrival == k_now - row.came);
        REQUIRE(badmail.remove(id.text()).value());
    }
}

TEST_CASE_FIXTURE(BadmailFixture, "a message goes with what describes it, and nothing else does") {
    const auto id = id_of_age(1h), other = id_of_age(2h);
    lay(id, 1h);
    lay(other, 2h);
    CHECK(badmail.remove(id.text()).value());
    const auto stem = other.text();
    CHECK(names("Badmail") == std::set<std::string>{stem + ".bad", stem + ".bdp", stem + ".bdr"});
    CHECK_FALSE(badmail.remove(id.text()).value());
}

TEST_CASE_FIXTURE(BadmailFixture, "what another has in hand stays whole") {
    const auto id = id_of_age(1h);
    lay(id, 1h);
    const auto held = files.open(mailroot.badmail, id.text() + ".bad", os::Files::Access::read);
    REQUIRE(files.lock(*held).value());
    CHECK_FALSE(badmail.remove(id.text()).value());
    CHECK_FALSE(badmail.requeue(id.text()).value());
    CHECK(names("Badmail").size() == 3);
}

TEST_CASE(
    "whichever step of a removal fails, a description outlives its message, never the "
    "reverse") {
    const auto stem = k_id.text();
    for (int step = 0;; ++step) {
        Machine machine;
        for (const auto* extension : {".bad", ".bdp", ".bdr"})
            machine.write("Badmail", stem + extension, "x");
        machine.files.count_looks = true;
        machine.files.count = 0;
        machine.files.fail_at = step;
        const auto removed = Badmail(*machine.mailroot).remove(stem);
        if (machine.files.count <= step) break;
        CAPTURE(machine.files.steps.back());
        machine.files.fail_at = -1;
        if (machine.names("Badmail").contains(stem + ".bad")) {
            CHECK((!removed || !*removed));
            CHECK(machine.names("Badmail").size() == 3);
            CHECK(Badmail(*machine.mailroot).remove(stem).value());
        }
        machine.restart();
        CHECK(recover(*machine.mailroot, machine.clock.now(), machine.ids).errors.empty());
        CHECK(machine.names("Badmail").empty());
    }
}
