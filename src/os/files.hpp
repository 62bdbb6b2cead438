#pragma once

#include "core/clock.hpp"
#include "core/result.hpp"
#include "os/fd.hpp"
#include "os/shared_sync.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mailroot::os {

/// An open directory; the names of its files are relative to it, whatever becomes of its path,
/// until Files::follow() is asked for what stands there now.
struct Folder {
    Fd fd;
    std::filesystem::path path;  ///< as it was opened
    std::unique_ptr<SharedSync> sharing = std::make_unique<SharedSync>();

    /// `Queue/0001.eml`: how a file of this folder is named in messages.
    [[nodiscard]] std::string place(std::string_view name) const;
};

/// What the system knows of a file.
struct FileInfo {
    enum class Kind { regular, folder, other };
    Kind kind = Kind::other;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::uint64_t links = 0;
    std::uint32_t owner = 0;
    TimePoint modified;
    TimePoint changed;  ///< of the inode: rename, permissions, every write

    /// The same file, not just an equal one.
    [[nodiscard]] bool same_file(const FileInfo& other) const {
        return device == other.device && inode == other.inode;
    }
    /// Nobody wrote to it in between.
    [[nodiscard]] bool unchanged_since(const FileInfo& earlier) const {
        return same_file(earlier) && size == earlier.size && modified == earlier.modified;
    }
};

/// Whether somebody has a file open for writing.
enum class Writers { none, some, unknown };

/// What a disk has left for us.
struct Space {
    std::uint64_t octets = 0;
    bool has_inodes = true;  ///< for one more file, as far as the disk counts them
};

/// The names in a folder, which may change meanwhile.
class FolderReader {
 public:
    virtual ~FolderReader() = default;

    /// The next name but `.` and `..`, in no order; nothing at the end. Valid until the next call.
    virtual Result<std::optional<std::string_view>> next() = 0;
};

/// What stands at a folder's path.
enum class Standing {
    same,      ///< the folder that is open
    replaced,  ///< another one: that is open now
    gone,      ///< none
};

/// The one door to the disk. Abstract so that tests can let the Nth operation fail. All calls
/// block; names are single components, never paths, and links are not followed. Errors name the
/// file and the step. May be used from several threads.
class Files {
 public:
    /// What a file is opened for.
    enum class Access { read, write };

    virtual ~Files() = default;

    /// Kind::not_found where there is none.
    virtual Result<Folder> open_folder(const std::filesystem::path& path) = 0;

    /// Creates `path` with exactly `mode`; Kind::exists where something stands there.
    virtual Result<void> create_folder(const std::filesystem::path& path, unsigned mode) = 0;

    /// Looks at what stands at the folder's path by now. Another folder is opened in place of the
    /// old one, for all who use `folder`. While there is none it is closed to all, whose calls fail
    /// by name: nothing may be written where nobody will look for it.
    virtual Result<Standing> follow(const Folder& folder) = 0;

    /// Opens a file that exists, without waiting for a FIFO's other end; `write` is for reading
    /// too.
    virtual Result<Fd> open(const Folder& folder, std::string_view name, Access access) = 0;

    /// Makes a new file (0600) for reading and writing; Kind::exists where the name is taken.
    virtual Result<Fd> create(const Folder& folder, std::string_view name) = 0;

    /// Of the name itself, be it a link; and of an open file, whatever its name is by now.
    virtual Result<FileInfo> info(const Folder& folder, std::string_view name) = 0;
    virtual Result<FileInfo> info(const Fd& fd) = 0;

    /// Octets read at `offset`: fewer than asked for only at the end of the file.
    virtual Result<std::size_t> read(const Fd& fd, std::uint64_t offset, std::span<char> into) = 0;

    /// Writes all of `octets` at the end.
    virtual Result<void> append(const Fd& fd, std::string_view octets) = 0;

    /// Writes all of `octets` over what stands at `offset`.
    virtual Result<void> overwrite(const Fd& fd, std::uint64_t offset, std::string_view octets) = 0;

    /// Makes what was written durable: with the file's times; the data alone.
    virtual Result<void> sync(const Fd& fd) = 0;
    virtual Result<void> sync_data(const Fd& fd) = 0;

    /// Makes a folder's names durable. All who ask at the same time share one sync.
    virtual Result<void> sync(const Folder& folder) = 0;

    /// Renames, never over another file: Kind::exists then.
    virtual Result<void> rename(const Folder& from, std::string_view name, const Folder& to,
                                std::string_view new_name) = 0;

    /// Renames within a folder, over what has the new name.
    virtual Result<void> replace(const Folder& folder, std::string_view name,
                                 std::string_view new_name) = 0;

    /// Kind::not_found where it is gone already.
    virtual Result<void> unlink(const Folder& folder, std::string_view name) = 0;

    /// To the nanosecond, where the file system has it.
    virtual Result<void> set_modified(const Fd& fd, TimePoint time) = 0;
    /// The same by name; Kind::not_found where it is gone.
    virtual Result<void> set_modified(const Folder& folder, std::string_view name,
                                      TimePoint time) = 0;

    /// An exclusive flock, never waited for; false where somebody else holds one.
    virtual Result<bool> lock(const Fd& fd) = 0;

    /// Asks by a read lease, which the system grants for a file that nobody writes. `fd` must be
    /// open for reading alone.
    virtual Writers writers(const Fd& fd) = 0;

    /// Of the disk that the folder is on.
    virtual Result<Space> space(const Folder& folder) = 0;

    /// Begins to read the names of a folder, which must outlive the reader.
    virtual Result<std::unique_ptr<FolderReader>> read_folder(const Folder& folder) = 0;
};

/// The files of this machine.
Files& system_files();

/// Whether a name stands in a folder. That it cannot be looked at is an error: not a no.
Result<bool> is_there(Files& files, const Folder& folder, std::string_view name);

/// Calls `entry` with each name in a folder, in no order.
Result<void> for_each_name(Files& files, const Folder& folder,
                           const std::function<void(std::string_view name)>& entry);

/// The whole of a small file. Kind::io where it is larger than `most` octets.
Result<std::string> read_whole(Files& files, const Fd& fd, std::uint64_t most);

}  // namespace mailroot::os
