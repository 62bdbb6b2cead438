#include "os/new_file.hpp"

namespace mailroot::os {

NewFile::NewFile(Files& files, const Folder& folder, std::string name, Fd fd)
    : files_(files), folder_(folder), name_(std::move(name)), fd_(std::move(fd)) {}

NewFile::NewFile(NewFile&& other) noexcept
    : files_(other.files_),
      folder_(other.folder_),
      name_(std::move(other.name_)),
      fd_(std::move(other.fd_)),
      synced_(other.synced_),
      temporary_(std::exchange(other.temporary_, false)) {}

NewFile::~NewFile() {
    // Where even that fails the sweep takes it.
    if (temporary_) (void)files_.unlink(folder_, name_);
}

namespace {

/// Removes a temporary file that a crash left behind.
Result<void> remove_abandoned(Files& files, const Folder& folder, std::string_view name) {
    auto fd = files.open(folder, name, Files::Access::read);
    if (!fd && fd.error().kind == Error::Kind::not_found) return {};
    if (!fd) return fail(std::move(fd));
    auto locked = files.lock(*fd);
    if (!locked) return fail(std::move(locked), folder.place(name));
    // Another may have removed it, and begun one of its own under the name.
    const auto held = files.info(*fd), named = files.info(folder, name);
    const bool is_it = held && named && named->same_file(*held);
    if (!*locked || !is_it)
        return fail(Error::Kind::busy, folder.place(name) + ": taken by another");
    return files.unlink(folder, name);
}

}  // namespace

Result<NewFile> NewFile::create(Files& files, const Folder& folder, std::string temporary_name) {
    auto fd = files.create(folder, temporary_name);
    if (!fd && fd.error().kind == Error::Kind::exists) {
        MAILROOT_TRY(remove_abandoned(files, folder, temporary_name));
        fd = files.create(folder, temporary_name);
    }
    if (!fd) return fail(std::move(fd));
    NewFile file(files, folder, std::move(temporary_name), std::move(*fd));
    auto locked = files.lock(file.fd_);
    if (!locked) return fail(std::move(locked), folder.place(file.name_));
    if (!*locked) return fail(Error::Kind::busy, folder.place(file.name_) + ": taken by another");
    return file;
}

Result<void> NewFile::append(std::string_view octets) {
    auto written = files_.append(fd_, octets);
    if (!written) return fail(std::move(written), folder_.place(name_));
    return {};
}

Result<void> NewFile::name(std::string_view new_name) {
    MAILROOT_TRY(sync());
    return rename(new_name);
}

Result<void> NewFile::replace(std::string_view new_name) {
    MAILROOT_TRY(sync());
    return replace_unsynced(new_name);
}

Result<void> NewFile::replace_unsynced(std::string_view new_name) {
    MAILROOT_TRY(files_.replace(folder_, name_, new_name));
    name_ = new_name;
    temporary_ = false;
    return {};
}

Result<void> NewFile::sync() {
    if (synced_) return {};
    auto safe = files_.sync(fd_);
    if (!safe) return fail(std::move(safe), folder_.place(name_));
    synced_ = true;
    return {};
}

Result<void> NewFile::rename(std::string_view new_name) {
    MAILROOT_TRY(files_.rename(folder_, name_, folder_, new_name));
    name_ = new_name;
    temporary_ = false;
    return {};
}

Result<void> commit(Files& files, const Folder& folder, std::string_view name,
                    std::string_view octets, Overwrite overwrite) {
    auto file = NewFile::create(files, folder, '.' + std::string(name) + ".tmp");
    if (!file) return fail(std::move(file));
    MAILROOT_TRY(file->append(octets));
    MAILROOT_TRY(overwrite == Overwrite::yes ? file->replace(name) : file->name(name));
    return files.sync(folder);
}

Result<void> commit_unsynced(Files& files, const Folder& folder, std::string_view name,
                             std::string_view octets) {
    auto file = NewFile::create(files, folder, '.' + std::string(name) + ".tmp");
    if (!file) return fail(std::move(file));
    MAILROOT_TRY(file->append(octets));
    return file->replace_unsynced(name);
}

}  // namespace mailroot::os
