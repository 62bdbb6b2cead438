#include "folders/mailroot.hpp"

#include "folders/mailroot_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <sys/stat.h>

using namespace mailroot;
using namespace mailroot::folders;

TEST_CASE("a mailroot is created with its modes, or refused by name") {
    const ScratchFolder scratch;
    FailingFiles files;
    const auto refused = Mailroot::open(files, scratch.path(), IfMissing::refuse);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::not_found);
    CHECK(refused.error().what.find("Pickup: no such folder") != std::string::npos);

    REQUIRE(Mailroot::open(files, scratch.path(), IfMissing::create));
    struct Row {
        const char* folder;
        unsigned mode;
    };
    for (const auto& row :
         {Row{"Pickup", 03730}, Row{"Queue", 0700}, Row{"Drop", 0700}, Row{"Badmail", 0700}}) {
        CAPTURE(row.folder);
        struct stat status;
        REQUIRE(::stat((scratch.path() / row.folder).c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == row.mode);
    }
    CHECK(Mailroot::open(files, scratch.path(), IfMissing::refuse));
}

TEST_CASE_FIXTURE(MailrootFixture, "a probe leaves nothing and names the step that failed") {
    REQUIRE(mailroot.probe());
    const int steps = files.count;
    for (const auto* folder : {"Pickup", "Queue", "Drop", "Badmail"}) CHECK(names(folder).empty());
    for (const auto* step : {"create", "lock", "append", "sync", "rename", "unlink"}) {
        CAPTURE(step);
        CHECK(std::ranges::find(files.steps, step) != files.steps.end());
    }
    REQUIRE(steps > 0);
    files.count = 0;
    files.fail_at = 0;
    const auto failed = mailroot.probe();
    REQUIRE_FALSE(failed);
    CHECK(failed.error().what.find("cannot create") != std::string::npos);
}
