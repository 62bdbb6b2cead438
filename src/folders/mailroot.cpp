#include "folders/mailroot.hpp"

#include "os/new_file.hpp"

#include <random>
#include <string>

namespace mailroot::folders {

namespace {

constexpr unsigned k_private = 0700;

// Whoever may submit must get as far as the door.
constexpr unsigned k_entrance = 0755;

// Anybody of the group may add a file, nobody but us may list them, nobody may touch another's.
constexpr unsigned k_door = 03730;

Result<os::Folder> open_part(os::Files& files, const std::filesystem::path& path, unsigned mode,
                             IfMissing if_missing) {
    auto folder = files.open_folder(path);
    if (folder || folder.error().kind != Error::Kind::not_found) return folder;
    if (if_missing == IfMissing::refuse) {
        return fail(Error::Kind::not_found,
                    path.string() + ": no such folder; this is no mailroot");
    }
    auto created = files.create_folder(path, mode);
    if (!created && created.error().kind != Error::Kind::exists) return fail(std::move(created));
    return files.open_folder(path);
}

}  // namespace

Result<Mailroot> Mailroot::open(os::Files& files, const std::filesystem::path& root,
                                IfMissing if_missing) {
    auto top = open_part(files, root, k_entrance, if_missing);
    if (!top) return fail(std::move(top));
    auto pickup = open_part(files, root / "Pickup", k_door, if_missing);
    if (!pickup) return fail(std::move(pickup));
    auto queue = open_part(files, root / "Queue", k_private, if_missing);
    if (!queue) return fail(std::move(queue));
    auto drop = open_part(files, root / "Drop", k_private, if_missing);
    if (!drop) return fail(std::move(drop));
    auto badmail = open_part(files, root / "Badmail", k_private, if_missing);
    if (!badmail) return fail(std::move(badmail));
    return Mailroot{
        files, root, std::move(*pickup), std::move(*queue), std::move(*drop), std::move(*badmail)};
}

Result<void> Mailroot::probe() const {
    const auto ring = all();
    // Unlike any other: several processes may start at once.
    const auto name = ".probe-" + std::to_string(std::random_device{}());
    for (std::size_t i = 0; i < ring.size(); ++i) {
        const os::Folder& here = *ring[i];
        const os::Folder& next = *ring[(i + 1) % ring.size()];
        auto file = os::NewFile::create(files, here, name + ".tmp");
        if (!file) return fail(std::move(file));
        MAILROOT_TRY(file->append("probe"));
        MAILROOT_TRY(file->name(name + ".named.tmp"));
        auto moved = files.sync(here);
        if (moved) moved = files.rename(here, name + ".named.tmp", next, name + ".tmp");
        if (!moved) {
            (void)files.unlink(here, name + ".named.tmp");
            return moved;
        }
        MAILROOT_TRY(files.unlink(next, name + ".tmp"));
    }
    return {};
}

}  // namespace mailroot::folders
