#pragma once

#include "os/files.hpp"

#include <mutex>
#include <optional>
#include <string>
#include <vector>

/// The system's files, or others, of which the Nth operation that changes or reads the disk fails.
/// Its members are read once the disk's threads are done.
class FailingFiles final : public mailroot::os::Files {
 public:
    template <class T>
    using Result = mailroot::Result<T>;
    using Error = mailroot::Error;
    using Folder = mailroot::os::Folder;
    using Fd = mailroot::os::Fd;
    using FileInfo = mailroot::os::FileInfo;

    /// `files` must outlive this.
    explicit FailingFiles(mailroot::os::Files& files = mailroot::os::system_files())
        : files_(files) {}

    int fail_at = -1;                                     ///< counted from 0; -1: never
    bool lasting = false;                                 ///< from then on each fails
    Error reason{Error::Kind::io, "Input/output error"};  ///< why
    bool count_looks = false;                             ///< info() is an operation, too
    std::optional<mailroot::os::Space> left;              ///< what the disk is said to have
    int count = 0;                                        ///< operations so far
    std::vector<std::string> steps;                       ///< their names

    Result<Folder> open_folder(const std::filesystem::path& path) override {
        return files_.open_folder(path);
    }
    Result<void> create_folder(const std::filesystem::path& path, unsigned mode) override {
        return step<void>("mkdir", path.string(), [&] { return files_.create_folder(path, mode); });
    }
    Result<mailroot::os::Standing> follow(const Folder& folder) override {
        return files_.follow(folder);
    }
    Result<Fd> open(const Folder& folder, std::string_view name, Access access) override {
        return step<Fd>("open", folder.place(name),
                        [&] { return files_.open(folder, name, access); });
    }
    Result<Fd> create(const Folder& folder, std::string_view name) override {
        return step<Fd>("create", folder.place(name), [&] { return files_.create(folder, name); });
    }
    Result<FileInfo> info(const Folder& folder, std::string_view name) override {
        const auto look = [&] { return files_.info(folder, name); };
        return count_looks ? step<FileInfo>("look", folder.place(name), look) : look();
    }
    Result<FileInfo> info(const Fd& fd) override {
        const auto look = [&] { return files_.info(fd); };
        return count_looks ? step<FileInfo>("look", "", look) : look();
    }
    Result<std::size_t> read(const Fd& fd, std::uint64_t offset, std::span<char> into) override {
        return step<std::size_t>("read", "", [&] { return files_.read(fd, offset, into); });
    }
    Result<void> append(const Fd& fd, std::string_view octets) override {
        return step<void>("append", "", [&] { return files_.append(fd, octets); });
    }
    Result<void> overwrite(const Fd& fd, std::uint64_t offset, std::string_view octets) override {
        return step<void>("overwrite", "", [&] { return files_.overwrite(fd, offset, octets); });
    }
    Result<void> sync(const Fd& fd) override {
        return step<void>("sync", "", [&] { return files_.sync(fd); });
    }
    Result<void> sync_data(const Fd& fd) override {
        return step<void>("sync data", "", [&] { return files_.sync_data(fd); });
    }
    Result<void> sync(const Folder& folder) override {
        return step<void>("sync folder", folder.path.string(), [&] { return files_.sync(folder); });
    }
    Result<void> rename(const Folder& from, std::string_view name, const Folder& to,
                        std::string_view new_name) override {
        return step<void>("rename", from.place(name),
                          [&] { return files_.rename(from, name, to, new_name); });
    }
    Result<void> replace(const Folder& folder, std::string_view name,
                         std::string_view new_name) override {
        return step<void>("replace", folder.place(name),
                          [&] { return files_.replace(folder, name, new_name); });
    }
    Result<void> unlink(const Folder& folder, std::string_view name) override {
        return step<void>("unlink", folder.place(name),
                          [&] { return files_.unlink(folder, name); });
    }
    Result<void> set_modified(const Fd& fd, mailroot::TimePoint time) override {
        return step<void>("set time", "", [&] { return files_.set_modified(fd, time); });
    }
    Result<void> set_modified(const Folder& folder, std::string_view name,
                              mailroot::TimePoint time) override {
        return step<void>("set time", folder.place(name),
                          [&] { return files_.set_modified(folder, name, time); });
    }
    Result<bool> lock(const Fd& fd) override {
        return step<bool>("lock", "", [&] { return files_.lock(fd); });
    }
    mailroot::os::Writers writers(const Fd& fd) override { return files_.writers(fd); }
    Result<mailroot::os::Space> space(const Folder& folder) override {
        if (left) return *left;
        return files_.space(folder);
    }
    Result<std::unique_ptr<mailroot::os::FolderReader>> read_folder(const Folder& folder) override {
        return step<std::unique_ptr<mailroot::os::FolderReader>>(
            "list", folder.path.string(), [&] { return files_.read_folder(folder); });
    }

 private:
    /// As with the system's files, the error names the place where the operation is given a name.
    template <class T, class Operation>
    Result<T> step(const char* name, const std::string& place, Operation operation) {
        if (is_to_fail(name)) {
            const std::string prefix = place.empty() ? "" : place + ": ";
            return mailroot::fail(reason.kind, prefix + "cannot " + name + ": " + reason.what);
        }
        return operation();
    }

    /// Notes the operation; disk threads come here side by side.
    bool is_to_fail(const char* name) {
        const std::lock_guard lock(mutex_);
        steps.emplace_back(name);
        const int number = count++;
        return number == fail_at || (lasting && fail_at >= 0 && number > fail_at);
    }

    std::mutex mutex_;
    mailroot::os::Files& files_;
};
