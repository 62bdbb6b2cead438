#pragma once

#include "core/result.hpp"
#include "os/files.hpp"

#include <array>
#include <filesystem>

namespace mailroot::folders {

/// What open() does about folders that are not there.
enum class IfMissing { create, refuse };

/// The open folders of one mailroot. All state is on disk; this and the classes over it hold none,
/// so they may be used from several threads and beside other processes.
struct Mailroot {
    os::Files& files;
    std::filesystem::path root;
    os::Folder pickup;
    os::Folder queue;
    os::Folder drop;
    os::Folder badmail;

    /// Kind::not_found names the folder that is no mailroot or lacks a part. `files` must outlive
    /// the Mailroot.
    static Result<Mailroot> open(os::Files& files, const std::filesystem::path& root,
                                 IfMissing if_missing);

    [[nodiscard]] std::array<const os::Folder*, 4> all() const {
        return {&pickup, &queue, &drop, &badmail};
    }

    /// Tries in each folder what the work needs: create, lock, sync, rename to the next folder,
    /// remove. Kind::io or permission names what cannot be done and where.
    [[nodiscard]] Result<void> probe() const;
};

}  // namespace mailroot::folders
