#include "os/folder_watch.hpp"

#include "scratch_folder.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/stat.h>

using namespace mailroot;
using namespace mailroot::os;

namespace {

std::string told(FolderWatch& watch) {
    std::string text;
    for (const auto& event : watch.events()) {
        const char* const kinds[] = {"whole", "changed", "lost", "moved"};
        text += std::string(kinds[static_cast<int>(event.kind)]) + ' ' + event.name + ';';
    }
    return text;
}

}  // namespace

TEST_CASE(
    "a watch tells when a writer closes a file, when one is moved in, and when one is touched") {
    const ScratchFolder scratch, elsewhere;
    const auto folder = system_files().open_folder(scratch.path());
    auto watch = FolderWatch::open(*folder, FolderWatch::Of::files);
    REQUIRE(watch);
    CHECK(told(*watch).empty());
    {
        std::ofstream writer(scratch.path() / "a");
        writer << "x" << std::flush;
        CHECK(told(*watch).empty());
    }
    CHECK(told(*watch) == "whole a;");
    elsewhere.write("b", "x");
    std::filesystem::rename(elsewhere.path() / "b", scratch.path() / "b");
    CHECK(told(*watch) == "whole b;");
    REQUIRE(::utimensat(AT_FDCWD, (scratch.path() / "a").c_str(), nullptr, 0) == 0);
    CHECK(told(*watch) == "changed a;");
    std::filesystem::remove(scratch.path() / "a");
    CHECK(told(*watch).empty());
}

TEST_CASE("a watch tells when the folder itself goes") {
    auto of = FolderWatch::Of::files;
    SUBCASE("beside its files") {}
    SUBCASE("alone") {
        of = FolderWatch::Of::folder;
    }
    const ScratchFolder scratch;
    std::filesystem::create_directory(scratch.path() / "Pickup");
    const auto folder = system_files().open_folder(scratch.path() / "Pickup");
    auto watch = FolderWatch::open(*folder, of);
    REQUIRE(watch);
    if (of == FolderWatch::Of::folder) {
        std::ofstream(scratch.path() / "Pickup/a") << "x";
        CHECK(told(*watch).empty());
    }
    std::filesystem::rename(scratch.path() / "Pickup", scratch.path() / "Other");
    CHECK(told(*watch) == "moved ;");
}

TEST_CASE("events that the system could not keep are told as lost") {
    const ScratchFolder scratch;
    const auto folder = system_files().open_folder(scratch.path());
    auto watch = FolderWatch::open(*folder, FolderWatch::Of::files);
    REQUIRE(watch);
    int kept = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> kept;
    REQUIRE(kept > 0);
    // In turn: of equal events one after the other the system keeps one.
    for (int i = 0; i <= kept; ++i) std::ofstream(scratch.path() / (i % 2 == 0 ? "a" : "b"));
    const auto events = watch->events();
    REQUIRE_FALSE(events.empty());
    CHECK(events.back().kind == FolderWatch::Event::Kind::lost);
    CHECK(watch->events().empty());
}
