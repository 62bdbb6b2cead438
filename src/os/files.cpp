#include "os/files.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mailroot::os {

namespace {

Error::Kind kind_of(int error) {
    switch (error) {
        case ENOENT:
        case ENOTDIR:
            return Error::Kind::not_found;
        case EEXIST:
            return Error::Kind::exists;
        case EACCES:
        case EPERM:
        case ELOOP:
            return Error::Kind::permission;
        case EWOULDBLOCK:
            return Error::Kind::busy;
        default:
            return Error::Kind::io;
    }
}

/// The last system call's error: `cannot sync: No space left on device`.
timespec timespec_of(TimePoint time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
    const std::chrono::nanoseconds rest = time.time_since_epoch() - seconds;
    return {seconds.count(), rest.count()};
}

tl::unexpected<Error> failed(std::string_view step) {
    const int error = errno;
    return fail(kind_of(error), "cannot " + std::string(step) + ": " + std::strerror(error));
}

tl::unexpected<Error> failed(std::string_view step, const std::string& place) {
    auto error = failed(step);
    return tl::unexpected<Error>(std::move(error.value()).in(place));
}

TimePoint time_point(const timespec& time) {
    return TimePoint{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
}

FileInfo file_info(const struct stat& status) {
    FileInfo info;
    info.kind = S_ISREG(status.st_mode)   ? FileInfo::Kind::regular
                : S_ISDIR(status.st_mode) ? FileInfo::Kind::folder
                                          : FileInfo::Kind::other;
    info.device = status.st_dev;
    info.inode = status.st_ino;
    info.size = static_cast<std::uint64_t>(status.st_size);
    info.links = status.st_nlink;
    info.owner = status.st_uid;
    info.modified = time_point(status.st_mtim);
    info.changed = time_point(status.st_ctim);
    return info;
}

/// Calls `call` again as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

class SystemFolderReader final : public FolderReader {
 public:
    SystemFolderReader(DIR* stream, std::string place)
        : stream_(stream), place_(std::move(place)) {}

    Result<std::optional<std::string_view>> next() override {
        for (;;) {
            errno = 0;
            const dirent* found = ::readdir(stream_.get());
            if (found == nullptr && errno != 0) return failed("read the folder", place_);
            if (found == nullptr) return std::nullopt;
            const std::string_view name = found->d_name;
            if (name != "." && name != "..") return name;
        }
    }

 private:
    const std::unique_ptr<DIR, decltype([](DIR* stream) { ::closedir(stream); })> stream_;
    const std::string place_;
};

class SystemFiles final : public Files {
 public:
    Result<Folder> open_folder(const std::filesystem::path& path) override {
        Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd) return failed("open the folder", path.string());
        Folder folder;
        folder.fd = std::move(fd);
        folder.path = path;
        return folder;
    }

    Result<void> create_folder(const std::filesystem::path& path, unsigned mode) override {
        if (::mkdir(path.c_str(), 0700) != 0) return failed("create the folder", path.string());
        // The umask has no say in who may submit.
        if (::chmod(path.c_str(), mode) != 0) return failed("set the mode", path.string());
        return {};
    }

    Result<Standing> follow(const Folder& folder) override {
        auto now = open_folder(folder.path);
        if (!now && now.error().kind != Error::Kind::not_found) return fail(std::move(now));
        if (!now) {
            // No name is found below a device.
            const Fd closed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            MAILROOT_TRY(put_in_place(closed, folder));
            return Standing::gone;
        }
        const auto there = info(now->fd), open = info(folder.fd);
        if (there && open && there->same_file(*open)) return Standing::same;
        MAILROOT_TRY(put_in_place(now->fd, folder));
        return Standing::replaced;
    }

    Result<Fd> open(const Folder& folder, std::string_view name, Access access) override {
        const int flags = (access == Access::write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK;
        return open_at(folder, name, flags, "open");
    }

    Result<Fd> create(const Folder& folder, std::string_view name) override {
        return open_at(folder, name, O_RDWR | O_CREAT | O_EXCL, "create");
    }

    Result<FileInfo> info(const Folder& folder, std::string_view name) override {
        struct stat status;
        const std::string text(name);
        if (::fstatat(folder.fd.number(), text.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            return failed("look at the file", folder.place(name));
        return file_info(status);
    }

    Result<FileInfo> info(const Fd& fd) override {
        struct stat status;
        if (::fstat(fd.number(), &status) != 0) return failed("look at the file");
        return file_info(status);
    }

    Result<std::size_t> read(const Fd& fd, std::uint64_t offset, std::span<char> into) override {
        std::size_t filled = 0;
        while (filled < into.size()) {
            const auto got = uninterrupted([&] {
                return ::pread(fd.number(), into.data() + filled, into.size() - filled,
                               static_cast<off_t>(offset + filled));
            });
            if (got < 0) return failed("read");
            if (got == 0) break;
            filled += static_cast<std::size_t>(got);
        }
        return filled;
    }

    Result<void> append(const Fd& fd, std::string_view octets) override {
        while (!octets.empty()) {
            const auto written =
                uninterrupted([&] { return ::write(fd.number(), octets.data(), octets.size()); });
            if (written < 0) return failed("write");
            octets.remove_prefix(static_cast<std::size_t>(written));
        }
        return {};
    }

    Result<void> overwrite(const Fd& fd, std::uint64_t offset, std::string_view octets) override {
        while (!octets.empty()) {
            const auto written = uninterrupted([&] {
                return ::pwrite(fd.number(), octets.data(), octets.size(),
                                static_cast<off_t>(offset));
            });
            if (written < 0) return failed("write");
            offset += static_cast<std::uint64_t>(written);
            octets.remove_prefix(static_cast<std::size_t>(written));
        }
        return {};
    }

    Result<void> sync(const Fd& fd) override {
        if (::fsync(fd.number()) != 0) return failed("sync");
        return {};
    }

    Result<void> sync_data(const Fd& fd) override {
        if (::fdatasync(fd.number()) != 0) return failed("sync");
        return {};
    }

    Result<void> sync(const Folder& folder) override {
        return folder.sharing->run([&folder]() -> Result<void> {
            // An XFS that has shut itself down syncs a folder without effect and without an error;
            // to look at it fails.
            struct stat status;
            if (::fsync(folder.fd.number()) != 0 || ::fstat(folder.fd.number(), &status) != 0)
                return failed("sync the folder", folder.path.string());
            return {};
        });
    }

    Result<void> rename(const Folder& from, std::string_view name, const Folder& to,
                        std::string_view new_name) override {
        const std::string old_text(name), new_text(new_name);
        if (::renameat2(from.fd.number(), old_text.c_str(), to.fd.number(), new_text.c_str(),
                        RENAME_NOREPLACE) != 0)
            return failed(
                &from == &to ? "rename to " + new_text : "move to " + to.path.filename().string(),
                from.place(name));
        return {};
    }

    Result<void> replace(const Folder& folder, std::string_view name,
                         std::string_view new_name) override {
        const std::string old_text(name), new_text(new_name);
        if (::renameat(folder.fd.number(), old_text.c_str(), folder.fd.number(),
                       new_text.c_str()) != 0)
            return failed("rename to " + new_text, folder.place(name));
        return {};
    }

    Result<void> unlink(const Folder& folder, std::string_view name) override {
        const std::string text(name);
        if (::unlinkat(folder.fd.number(), text.c_str(), 0) != 0)
            return failed("remove", folder.place(name));
        return {};
    }

    Result<void> set_modified(const Fd& fd, TimePoint time) override {
        const timespec times[2] = {{0, UTIME_OMIT}, timespec_of(time)};
        if (::futimens(fd.number(), times) != 0) return failed("set the file's time");
        return {};
    }

    Result<void> set_modified(const Folder& folder, std::string_view name,
                              TimePoint time) override {
        const std::string text(name);
        const timespec times[2] = {{0, UTIME_OMIT}, timespec_of(time)};
        if (::utimensat(folder.fd.number(), text.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
            return failed("set the time of", folder.place(name));
        return {};
    }

    Result<bool> lock(const Fd& fd) override {
        if (::flock(fd.number(), LOCK_EX | LOCK_NB) == 0) return true;
        if (errno == EWOULDBLOCK) return false;
        return failed("lock");
    }

    Writers writers(const Fd& fd) override {
        // Who opens the file for writing meanwhile is let through as we give the lease back; of
        // that the system tells by SIGIO, which would end the process. SIGURG is ignored where
        // nobody asked for it.
        if (::fcntl(fd.number(), F_SETSIG, SIGURG) != 0) return Writers::unknown;
        if (::fcntl(fd.number(), F_SETLEASE, F_RDLCK) != 0)
            return errno == EAGAIN ? Writers::some : Writers::unknown;
        ::fcntl(fd.number(), F_SETLEASE, F_UNLCK);
        return Writers::none;
    }

    Result<Space> space(const Folder& folder) override {
        struct statvfs disk {};
        if (::fstatvfs(folder.fd.number(), &disk) != 0)
            return failed("look at the disk of", folder.path.string());
        return Space{std::uint64_t{disk.f_bavail} * disk.f_frsize,
                     disk.f_files == 0 || disk.f_favail > 0};
    }

    Result<std::unique_ptr<FolderReader>> read_folder(const Folder& folder) override {
        // A descriptor of its own: readdir moves the position, and threads share the folder's.
        const int own = ::openat(folder.fd.number(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (own < 0) return failed("read the folder", folder.path.string());
        DIR* const stream = ::fdopendir(own);
        if (stream == nullptr) return failed("read the folder", folder.path.string());
        return std::make_unique<SystemFolderReader>(stream, folder.path.string());
    }

 private:
    /// Makes the folder's descriptor, under its number, another open file.
    static Result<void> put_in_place(const Fd& other, const Folder& folder) {
        const int number = folder.fd.number();
        if (!other || ::dup3(other.number(), number, O_CLOEXEC) < 0)
            return failed("open the folder again", folder.path.string());
        return {};
    }

    static Result<Fd> open_at(const Folder& folder, std::string_view name, int flags,
                              std::string_view step) {
        const std::string text(name);
        Fd fd(uninterrupted(
            [&] { return ::openat(folder.fd.number(), text.c_str(), flags | O_CLOEXEC, 0600); }));
        if (!fd) return failed(step, folder.place(name));
        return fd;
    }
};

}  // namespace

std::string Folder::place(std::string_view name) const {
    return path.filename().string() + '/' + std::string(name);
}

Files& system_files() {
    static SystemFiles files;
    return files;
}

Result<bool> is_there(Files& files, const Folder& folder, std::string_view name) {
    auto info = files.info(folder, name);
    if (info) return true;
    if (info.error().kind == Error::Kind::not_found) return false;
    return fail(std::move(info));
}

Result<void> for_each_name(Files& files, const Folder& folder,
                           const std::function<void(std::string_view)>& entry) {
    const auto reader = files.read_folder(folder);
    if (!reader) return tl::unexpected(reader.error());
    for (;;) {
        const auto name = (*reader)->next();
        if (!name) return tl::unexpected(name.error());
        if (!*name) return {};
        entry(**name);
    }
}

Result<std::string> read_whole(Files& files, const Fd& fd, std::uint64_t most) {
    const auto info = files.info(fd);
    if (!info) return tl::unexpected(info.error());
    if (info->size > most) {
        return fail(Error::Kind::io, "larger than " + std::to_string(most) + " octets");
    }
    std::string octets(info->size, '\0');
    const auto got = files.read(fd, 0, octets);
    if (!got) return tl::unexpected(got.error());
    octets.resize(*got);
    return octets;
}

}  // namespace mailroot::os
