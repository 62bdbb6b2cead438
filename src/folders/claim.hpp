#pragma once

#include "core/result.hpp"
#include "os/files.hpp"

#include <optional>
#include <string>

namespace mailroot::folders {

/// A file that was opened and locked, and whose name still is that file.
struct Claimed {
    os::Fd fd;
    os::FileInfo info;
};

/// Claims a file of `folder`. Nothing where it is gone or another's; Kind::parse where it is not a
/// plain one.
[[nodiscard]] Result<std::optional<Claimed>> claim_file(os::Files& files, const os::Folder& folder,
                                                        const std::string& name,
                                                        os::Files::Access access);

/// Whether the name still is that file.
[[nodiscard]] bool still_names(os::Files& files, const os::Folder& folder, const std::string& name,
                               const os::FileInfo& file);

}  // namespace mailroot::folders
