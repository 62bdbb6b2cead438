#include "folders/claim.hpp"

namespace mailroot::folders {

bool still_names(os::Files& files, const os::Folder& folder, const std::string& name,
                 const os::FileInfo& file) {
    const auto named = files.info(folder, name);
    return named && named->same_file(file);
}

Result<std::optional<Claimed>> claim_file(os::Files& files, const os::Folder& folder,
                                          const std::string& name, os::Files::Access access) {
    auto fd = files.open(folder, name, access);
    // Busy: another process asks by a lease who writes it.
    if (!fd && (fd.error().kind == Error::Kind::not_found || fd.error().kind == Error::Kind::busy))
        return std::nullopt;
    if (!fd) return fail(std::move(fd));
    const auto locked = files.lock(*fd);
    if (!locked) return tl::unexpected(Error(locked.error()).in(folder.place(name)));
    if (!*locked) return std::nullopt;

    // Between open and lock another may have finished with it.
    const auto held = files.info(*fd);
    if (!held) return tl::unexpected(Error(held.error()).in(folder.place(name)));
    if (!still_names(files, folder, name, *held)) return std::nullopt;
    if (held->kind != os::FileInfo::Kind::regular)
        return fail(Error::Kind::parse, folder.place(name) + ": not a plain file");
    return Claimed{std::move(*fd), *held};
}

}  // namespace mailroot::folders
