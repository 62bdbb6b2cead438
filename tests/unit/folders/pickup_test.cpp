#include "folders/pickup.hpp"

#include "folders/mailroot_fixture.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace mailroot;
using namespace mailroot::folders;
using Outcome = Pickup::Attempt::Outcome;

namespace {

const Pickup::Evidence k_closed{true, std::nullopt, false};
const Pickup::Evidence k_nothing{};

}  // namespace

TEST_CASE_FIXTURE(MailrootFixture, "a whole file moves to Queue under its id, locked") {
    const Pickup pickup(mailroot);
    write("Pickup/mail 1.eml", "To: a@b.example\n\nx");
    const auto id = ids.next();
    const auto attempt = pickup.take("mail 1.eml", k_closed, id);
    REQUIRE(attempt.outcome == Outcome::taken);
    CHECK(attempt.file->id() == id);
    CHECK(names("Pickup").empty());
    CHECK(names("Queue") == std::set<std::string>{id.text() + ".pickup"});
    CHECK_FALSE(*Queue(mailroot).resume(id));
}

TEST_CASE_FIXTURE(MailrootFixture, "what may still be written is left alone") {
    const Pickup pickup(mailroot);
    SUBCASE("an empty file, without even a lock") {
        write("Pickup/a", "");
        files.steps.clear();
        CHECK(pickup.take("a", k_closed, ids.next()).outcome == Outcome::growing);
        CHECK(files.steps.empty());
    }
    SUBCASE("a file its writer holds as .NET does") {
        write("Pickup/a", "To: a@b.example\n\nx");
        const os::Fd writer(::open((scratch.path() / "Pickup/a").c_str(), O_WRONLY));
        REQUIRE(::flock(writer.number(), LOCK_SH) == 0);
        CHECK(pickup.take("a", k_closed, ids.next()).outcome == Outcome::growing);
    }
    SUBCASE("a file that is open for writing, where nothing else is known") {
        write("Pickup/a", "To: a@b.example\n\nx");
        const os::Fd writer(::open((scratch.path() / "Pickup/a").c_str(), O_WRONLY));
        CHECK(pickup.take("a", k_nothing, ids.next()).outcome == Outcome::growing);
    }
    CHECK(names("Pickup") == std::set<std::string>{"a"});
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(MailrootFixture,
                  "a file that stayed as it was is whole, one that changed is not") {
    const Pickup pickup(mailroot);
    write("Pickup/a", "To: a@b.example\n\nx");
    // An open writer rules the lease out; what is left is the file's having settled.
    const os::Fd writer(::open((scratch.path() / "Pickup/a").c_str(), O_WRONLY | O_APPEND));
    const auto seen = pickup.take("a", k_nothing, ids.next()).info;
    REQUIRE(::write(writer.number(), "y", 1) == 1);
    const auto changed = pickup.take("a", {false, seen}, ids.next());
    CHECK(changed.outcome == Outcome::growing);
    // A pause of a writer who is known to be there is not the end.
    CHECK(pickup.take("a", {false, changed.info}, ids.next()).outcome == Outcome::growing);
    CHECK(pickup.take("a", {false, changed.info, true}, ids.next()).outcome == Outcome::taken);
}

TEST_CASE_FIXTURE(MailrootFixture, "only plain files with one name are taken") {
    const Pickup pickup(mailroot);
    write("Pickup/a", "x");
    write("outside", "x");
    std::filesystem::create_symlink(scratch.path() / "outside", scratch.path() / "Pickup/link");
    std::filesystem::create_hard_link(scratch.path() / "outside", scratch.path() / "Pickup/hard");
    std::filesystem::create_directory(scratch.path() / "Pickup/folder");
    REQUIRE(::mkfifo((scratch.path() / "Pickup/fifo").c_str(), 0600) == 0);
    for (const auto* name : {"link", "hard", "folder", "fifo"}) {
        CAPTURE(name);
        const auto attempt = pickup.take(name, k_closed, ids.next());
        CHECK(attempt.outcome == Outcome::unusable);
        CHECK(attempt.reason.what.find(name) != std::string::npos);
        REQUIRE(pickup.reason_against(name));
        CHECK(pickup.reason_against(name)->what == attempt.reason.what);
    }
    CHECK_FALSE(pickup.reason_against("a"));
    CHECK_FALSE(pickup.reason_against("gone"));
    CHECK(pickup.take("gone", k_closed, ids.next()).outcome == Outcome::gone);
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(MailrootFixture, "names that writers use while they write are no candidates") {
    const Pickup pickup(mailroot);
    for (const auto* name : {".hidden", "a.tmp", "a.part", "a~"}) {
        CAPTURE(name);
        CHECK_FALSE(pickup.is_candidate(name));
    }
    for (const auto* name : {"a", "a.eml", "9c1f.txt", "a.tmp.eml", "with space"}) {
        CAPTURE(name);
        CHECK(pickup.is_candidate(name));
    }
}

TEST_CASE_FIXTURE(MailrootFixture, "a file that cannot be worked on now goes back under its name") {
    const Pickup pickup(mailroot);
    write("Pickup/a", "x");
    const auto id = ids.next();
    auto attempt = pickup.take("a", k_closed, id);
    SUBCASE("its name is free") {
        REQUIRE(attempt.file->put_back("a"));
        CHECK(names("Pickup") == std::set<std::string>{"a"});
    }
    SUBCASE("another has its name by now") {
        write("Pickup/a", "y");
        REQUIRE(attempt.file->put_back("a"));
        CHECK(names("Pickup") == std::set<std::string>{"a", id.text() + ".eml"});
    }
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(MailrootFixture,
                  "a file written to after it was scanned gives no complete message") {
    const Pickup pickup(mailroot);
    write("Pickup/a", "From: s@a.example\nTo: a@b.example\n\nbody\n");
    auto attempt = pickup.take("a", k_closed, ids.next());
    REQUIRE(attempt.outcome == Outcome::taken);
    const auto message = attempt.file->scan({});
    REQUIRE(message);
    const auto path = scratch.path() / ("Queue/" + attempt.file->id().text() + ".pickup");
    const auto reader = attempt.file->reader(*message, "Received: by x\r\n");
    std::ofstream(path, std::ios::app) << "more\n";
    std::string octets;
    for (;;) {
        const auto portion = reader->next();
        if (!portion) {
            CHECK(portion.error().kind == Error::Kind::busy);
            break;
        }
        REQUIRE_FALSE(portion->empty());
        octets += *portion;
    }
    CHECK(octets.size() < reader->size());
}

TEST_CASE_FIXTURE(MailrootFixture, "a file laid into Queue by hand is taken as one of Pickup is") {
    const Pickup by_hand(mailroot, Pickup::Place::queue);
    const auto mine = queued("x-sender: <>\r\n", "x");
    write("Queue/" + mine.text() + ".json", "{}");
    write("Queue/by hand.eml", "To: a@b.example\n\nx");
    std::set<std::string> found;
    REQUIRE(by_hand.scan([&](const Pickup::Entry& entry) { found.insert(entry.name); }));
    CHECK(found == std::set<std::string>{"by hand.eml"});
    {
        const os::Fd writer(::open((scratch.path() / "Queue/by hand.eml").c_str(), O_WRONLY));
        CHECK(by_hand.take("by hand.eml", k_closed, ids.next()).outcome == Outcome::growing);
    }
    const auto id = ids.next();
    const auto attempt = by_hand.take("by hand.eml", k_closed, id);
    REQUIRE(attempt.outcome == Outcome::taken);
    CHECK(exists("Queue/" + id.text() + ".pickup"));
    CHECK_FALSE(exists("Queue/by hand.eml"));
}
