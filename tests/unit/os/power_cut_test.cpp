#include "memory_files.hpp"
#include "os/new_file.hpp"
#include "scratch_folder.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

using namespace mailroot;
using namespace mailroot::os;

namespace {

const std::filesystem::path k_folder = "/Queue";
const std::filesystem::path k_file = k_folder / "a";
const std::string k_old(100, 'o');
const std::string k_new(200, 'n');

struct Machine {
    MemoryFiles files;
    Folder folder;

    Machine() {
        REQUIRE(files.create_folder(k_folder, 0700));
        restart();
    }
    void restart() { folder = files.open_folder(k_folder).value(); }

    /// What a file holds, or `none`.
    [[nodiscard]] std::string text_of(const std::string& name) const {
        return files.names(k_folder).contains(name) ? files.octets(k_folder / name) : "none";
    }
};

/// Cuts the power after each change that `work` makes, and after its last, in each way. `check` is
/// told whether the work was done.
void with_each_cut(const std::function<void(Machine&)>& lay,
                   const std::function<Result<void>(Machine&)>& work,
                   const std::function<void(Machine&, bool done)>& check) {
    bool done = false;
    for (std::size_t changes = 0; !done; ++changes) {
        for (const auto cut : {Cut::drop_all, Cut::keep_names, Cut::keep_all}) {
            std::size_t points = 1;
            for (std::size_t kept = 0; kept < points; ++kept) {
                Machine machine;
                lay(machine);
                machine.files.cut_after = changes;
                done = work(machine).has_value();
                const auto made = machine.files.changes_text();
                if (cut == Cut::keep_names) points = machine.files.unsynced_names() + 1;
                machine.files.power_cut(cut, kept);
                machine.restart();
                CAPTURE(static_cast<int>(cut));
                CAPTURE(kept);
                CAPTURE(made);
                check(machine, done);
            }
        }
    }
}

/// What programs do that never lost power.
Result<void> write_and_rename(Machine& machine) {
    const auto fd = machine.files.create(machine.folder, ".a.tmp");
    if (!fd) return tl::unexpected(fd.error());
    MAILROOT_TRY(machine.files.append(*fd, k_new));
    return machine.files.replace(machine.folder, ".a.tmp", "a");
}

/// The states that a file of memory may be found in after a cut.
std::set<std::string> outcomes(const std::function<Result<void>(Machine&)>& work) {
    std::set<std::string> found;
    with_each_cut([](Machine& machine) { machine.files.write(k_file, k_old); }, work,
                  [&](Machine& machine, bool) { found.insert(machine.text_of("a")); });
    return found;
}

}  // namespace

TEST_CASE("a file that is renamed without a sync may be found empty: the cuts do cut") {
    CHECK(outcomes(write_and_rename) == std::set<std::string>{k_old, "", k_new});
}

TEST_CASE("octets that are written over without a sync may be lost") {
    const auto overwrite = [](Machine& machine) -> Result<void> {
        const auto fd = machine.files.open(machine.folder, "a", Files::Access::write);
        if (!fd) return tl::unexpected(fd.error());
        return machine.files.overwrite(*fd, 0, "x");
    };
    const auto overwrite_and_sync = [&](Machine& machine) -> Result<void> {
        MAILROOT_TRY(overwrite(machine));
        const auto fd = machine.files.open(machine.folder, "a", Files::Access::read);
        return machine.files.sync_data(*fd);
    };
    std::string changed = k_old;
    changed.front() = 'x';
    CHECK(outcomes(overwrite) == std::set<std::string>{k_old, changed});
    with_each_cut(
        [](Machine& machine) { machine.files.write(k_file, k_old); }, overwrite_and_sync,
        [&](Machine& machine, bool done) { CHECK((machine.text_of("a") == changed || !done)); });
}

TEST_CASE("names that are not synced come back in the order they were made") {
    Machine machine;
    machine.files.write(k_file, k_old);
    REQUIRE(machine.files.rename(machine.folder, "a", machine.folder, "b"));
    REQUIRE(machine.files.rename(machine.folder, "b", machine.folder, "c"));
    REQUIRE(machine.files.unsynced_names() == 2);
    SUBCASE("none") {
        machine.files.power_cut(Cut::keep_names, 0);
        CHECK(machine.files.names(k_folder) == std::set<std::string>{"a"});
    }
    SUBCASE("one") {
        machine.files.power_cut(Cut::keep_names, 1);
        CHECK(machine.files.names(k_folder) == std::set<std::string>{"b"});
    }
    SUBCASE("all, once they were synced") {
        REQUIRE(machine.files.sync(machine.folder));
        machine.files.power_cut(Cut::drop_all);
        CHECK(machine.files.names(k_folder) == std::set<std::string>{"c"});
    }
}

TEST_CASE("files in memory are locked, written and told apart as the system's are") {
    const ScratchFolder scratch;
    MemoryFiles memory;
    REQUIRE(memory.create_folder(scratch.path(), 0700));
    for (Files* files : {&system_files(), static_cast<Files*>(&memory)}) {
        CAPTURE((files == &memory));
        const auto folder = files->open_folder(scratch.path());
        REQUIRE(folder);
        CHECK(files->open(*folder, "a", Files::Access::read).error().kind ==
              Error::Kind::not_found);
        auto first = files->create(*folder, "a");
        CHECK(files->create(*folder, "a").error().kind == Error::Kind::exists);
        REQUIRE(files->append(*first, "octets"));
        const auto second = files->open(*folder, "a", Files::Access::read);
        CHECK(files->writers(*second) != Writers::none);
        CHECK(files->lock(*first).value());
        CHECK_FALSE(files->lock(*second).value());
        *first = Fd();
        CHECK(files->writers(*second) != Writers::some);
        CHECK(files->lock(*second).value());

        REQUIRE(files->create(*folder, "b"));
        CHECK(files->rename(*folder, "a", *folder, "b").error().kind == Error::Kind::exists);
        CHECK_FALSE(files->info(*folder, "b")->same_file(*files->info(*second)));
        REQUIRE(files->replace(*folder, "a", "b"));
        CHECK(files->info(*folder, "b")->same_file(*files->info(*second)));
        CHECK(files->info(*second)->links == 1);
        REQUIRE(files->unlink(*folder, "b"));
        CHECK(files->info(*second)->links == 0);
        CHECK(files->unlink(*folder, "b").error().kind == Error::Kind::not_found);
        CHECK(read_whole(*files, *second, 100).value() == "octets");
    }
}

TEST_CASE("once the power is off nothing works until it is back, and no lock outlives it") {
    Machine machine;
    machine.files.cut_after = 1;
    {
        const auto fd = machine.files.create(machine.folder, "a");
        REQUIRE(fd);
        REQUIRE(machine.files.lock(*fd).value());
        CHECK_FALSE(machine.files.append(*fd, "x"));
        CHECK_FALSE(machine.files.info(*fd));
        CHECK_FALSE(machine.files.unlink(machine.folder, "a"));
        machine.files.power_cut(Cut::keep_all);
    }
    machine.restart();
    const auto fd = machine.files.open(machine.folder, "a", Files::Access::read);
    REQUIRE(fd);
    CHECK(machine.files.lock(*fd).value());
}

TEST_CASE("wherever the power is cut, a commit leaves the old text or the new, whole") {
    const auto commit_over = [](Machine& machine) {
        return commit(machine.files, machine.folder, "a", k_new, Overwrite::yes);
    };
    CHECK(outcomes(commit_over) == std::set<std::string>{k_old, k_new});
    with_each_cut(
        [](Machine& machine) { machine.files.write(k_file, k_old); }, commit_over,
        [](Machine& machine, bool done) { CHECK((machine.text_of("a") == k_new || !done)); });
}

TEST_CASE("wherever the power is cut, a new file is whole or not there") {
    with_each_cut(
        [](Machine&) {},
        [](Machine& machine) {
            return commit(machine.files, machine.folder, "a", k_new, Overwrite::no);
        },
        [](Machine& machine, bool done) {
            CHECK((machine.text_of("a") == k_new || (!done && machine.text_of("a") == "none")));
        });
}

TEST_CASE("a commit after a cut replaces what the cut left of the last one") {
    with_each_cut([](Machine&) {},
                  [](Machine& machine) {
                      return commit(machine.files, machine.folder, "a", k_old, Overwrite::yes);
                  },
                  [](Machine& machine, bool) {
                      REQUIRE(commit(machine.files, machine.folder, "a", k_new, Overwrite::yes));
                      CHECK(machine.files.names(k_folder) == std::set<std::string>{"a"});
                      CHECK(machine.text_of("a") == k_new);
                  });
}
