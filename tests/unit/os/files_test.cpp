#include "os/files.hpp"

#include "scratch_folder.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <set>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

using namespace mailroot;
using namespace mailroot::os;

TEST_CASE("links are not followed and a FIFO is not waited for") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    const auto target = scratch.write("target", "x");
    std::filesystem::create_symlink(target, scratch.path() / "link");
    REQUIRE(::mkfifo((scratch.path() / "fifo").c_str(), 0600) == 0);

    const auto link = files.open(*folder, "link", Files::Access::read);
    REQUIRE_FALSE(link);
    CHECK(link.error().kind == Error::Kind::permission);
    CHECK(files.open(*folder, "fifo", Files::Access::read));
    CHECK(files.info(*folder, "link")->kind == FileInfo::Kind::other);
    CHECK(files.info(*folder, "fifo")->kind == FileInfo::Kind::other);
}

TEST_CASE("a lock holds against another opening of the file, and goes with its owner") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    scratch.write("a", "x");
    auto first = files.open(*folder, "a", Files::Access::read);
    const auto second = files.open(*folder, "a", Files::Access::read);
    CHECK(files.lock(*first).value());
    CHECK_FALSE(files.lock(*second).value());
    *first = Fd();
    CHECK(files.lock(*second).value());
}

TEST_CASE("a rename never goes over another file") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    scratch.write("a", "a");
    scratch.write("b", "b");
    const auto renamed = files.rename(*folder, "a", *folder, "b");
    REQUIRE_FALSE(renamed);
    CHECK(renamed.error().kind == Error::Kind::exists);
    CHECK(files.rename(*folder, "a", *folder, "c"));
}

TEST_CASE("a file that somebody writes is known by its lease") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    const auto path = scratch.write("a", "x");
    const auto reader = files.open(*folder, "a", Files::Access::read);
    if (files.writers(*reader) == Writers::unknown) return;  // no leases on this file system
    CHECK(files.writers(*reader) == Writers::none);
    const Fd writer(::open(path.c_str(), O_WRONLY));
    CHECK(files.writers(*reader) == Writers::some);
}

TEST_CASE("a file's time is set to the nanosecond, past and future") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    scratch.write("a", "x");
    const auto fd = files.open(*folder, "a", Files::Access::write);
    for (const long long nanoseconds : {1'000'000'007LL, 4'102'444'800'000'000'001LL}) {
        const TimePoint time{std::chrono::nanoseconds{nanoseconds}};
        REQUIRE(files.set_modified(*fd, time));
        CHECK(files.info(*fd)->modified == time);
        REQUIRE(files.set_modified(*folder, "a", time + std::chrono::nanoseconds{1}));
        CHECK(files.info(*fd)->modified == time + std::chrono::nanoseconds{1});
    }
    const auto gone = files.set_modified(*folder, "b", TimePoint{});
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind == Error::Kind::not_found);
}

TEST_CASE("errors name the file and the step") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    const auto missing = files.open(*folder, "a", Files::Access::read);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Error::Kind::not_found);
    CHECK(missing.error().what ==
          scratch.path().filename().string() + "/a: cannot open: No such file or directory");
    CHECK(files.open_folder(scratch.path() / "none").error().kind == Error::Kind::not_found);
}

TEST_CASE(
    "a folder that is replaced is followed, and one that is gone is closed until it is back") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto at = scratch.path() / "Queue", elsewhere = scratch.path() / "elsewhere";
    std::filesystem::create_directory(at);
    const auto folder = files.open_folder(at);
    CHECK(files.follow(*folder).value() == Standing::same);

    std::filesystem::rename(at, elsewhere);
    CHECK(files.follow(*folder).value() == Standing::gone);
    const auto refused = files.create(*folder, "a");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::not_found);
    CHECK(std::filesystem::is_empty(elsewhere));
    CHECK(files.follow(*folder).value() == Standing::gone);

    std::filesystem::create_directory(at);
    CHECK(files.follow(*folder).value() == Standing::replaced);
    CHECK(files.create(*folder, "a"));
    CHECK(std::filesystem::exists(at / "a"));
    CHECK(files.follow(*folder).value() == Standing::same);
}

TEST_CASE("the names of a folder are read one by one, without itself and its parent") {
    const ScratchFolder scratch;
    auto& files = system_files();
    const auto folder = files.open_folder(scratch.path());
    std::set<std::string> found;
    const auto note = [&](std::string_view name) { found.emplace(name); };
    REQUIRE(for_each_name(files, *folder, note));
    CHECK(found.empty());
    for (const std::string name : {"a", ".b", "c\nd"}) scratch.write(name, "x");
    REQUIRE(for_each_name(files, *folder, note));
    CHECK(found == std::set<std::string>{"a", ".b", "c\nd"});
}
