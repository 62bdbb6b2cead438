#pragma once

#include "os/files.hpp"

#include <string>
#include <string_view>

namespace mailroot::os {

/// A file being written under a temporary name in the folder where it is to stand. It is locked, so
/// that no sweep takes it, and destroyed before it got its name it leaves nothing behind.
class NewFile {
 public:
    /// A file of that name that nobody holds is what a crash left, and is removed first; Kind::busy
    /// where somebody holds it. `files` and `folder` must outlive the file.
    static Result<NewFile> create(Files& files, const Folder& folder, std::string temporary_name);

    NewFile(NewFile&& other) noexcept;
    NewFile& operator=(NewFile&&) = delete;
    ~NewFile();

    /// Writes at the end.
    Result<void> append(std::string_view octets);

    /// Makes the octets safe, then gives the file its name, never over another: Kind::exists then,
    /// and the file may be named otherwise. Where syncing failed it is never tried again: what the
    /// system dropped would pass for written. The folder is not synced.
    Result<void> name(std::string_view new_name);

    /// The same, over what has the new name.
    Result<void> replace(std::string_view new_name);

    /// The same without syncing the octets.
    Result<void> replace_unsynced(std::string_view new_name);

    /// Gives a named file another name, never over another.
    Result<void> rename(std::string_view new_name);

 private:
    Result<void> sync();
    NewFile(Files& files, const Folder& folder, std::string name, Fd fd);

    Files& files_;
    const Folder& folder_;
    std::string name_;
    Fd fd_;
    bool synced_ = false;
    bool temporary_ = true;
};

/// Whether a file that has the name already is replaced.
enum class Overwrite { no, yes };

/// Writes a small file whole or not at all: temporary file, fsync, rename, fsync of the folder. Any
/// failure removes the temporary file and says which step it was.
Result<void> commit(Files& files, const Folder& folder, std::string_view name,
                    std::string_view octets, Overwrite overwrite);

/// The same without a sync, over what has the name: a crash of ours leaves the old file or the new
/// one, a power cut perhaps neither.
Result<void> commit_unsynced(Files& files, const Folder& folder, std::string_view name,
                             std::string_view octets);

}  // namespace mailroot::os
