#pragma once

#include "os/files.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <utility>
#include <vector>

/// What a power cut leaves of what was not synced.
enum class Cut {
    drop_all,    ///< nothing: each folder has the names of its own last sync
    keep_names,  ///< names alone, as a journal has them: in the order they were made, up to a point
    keep_all,    ///< all of it: only the processes are gone
};

/// Files in memory that know what was synced, after leveldb's fault injection test. Octets and
/// times are durable by a sync of their file, names by a sync of their folder.
///
/// Each change (all that alters a file or a name, and each sync) is counted. After `cut_after` of
/// them the machine is off: every call fails, those of destructors too, until power_cut() brings
/// it back with what was durable and without locks or open files.
class MemoryFiles final : public mailroot::os::Files {
 public:
    template <class T>
    using Result = mailroot::Result<T>;
    using Path = std::filesystem::path;
    using TimePoint = mailroot::TimePoint;
    using Error = mailroot::Error;
    using Folder = mailroot::os::Folder;
    using Fd = mailroot::os::Fd;
    using FileInfo = mailroot::os::FileInfo;

    static constexpr std::size_t k_never = static_cast<std::size_t>(-1);

    TimePoint now{std::chrono::seconds{1'800'000'000}};  ///< moves on with each change
    std::size_t cut_after = k_never;
    std::vector<std::string> changes;  ///< so far: `rename Queue/.x.tmp to Queue/x.eml`

    /// The changes in one line, for messages.
    [[nodiscard]] std::string changes_text() const {
        std::string text;
        for (const auto& change : changes) text += (text.empty() ? "" : "; ") + change;
        return text;
    }

    [[nodiscard]] bool is_off() const { return off_; }

    /// How many changes of names no sync of a folder has made durable.
    [[nodiscard]] std::size_t unsynced_names() const { return journal_.size(); }

    /// Turns the machine off and on. Cut::keep_names leaves the first `kept` of unsynced_names().
    void power_cut(Cut cut, std::size_t kept = 0) {
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; cut == Cut::keep_names && i < kept; ++i) write_through(journal_[i]);
        for (auto& [path, directory] : directories_) {
            if (cut == Cut::drop_all) directory->names = directory->synced;
            if (cut == Cut::keep_names) directory->names = directory->journaled;
            directory->synced = directory->journaled = directory->names;
            for (auto& [name, node] : directory->names)
                cut == Cut::keep_all ? node->make_durable() : node->forget_unsynced();
        }
        journal_.clear();
        openings_.clear();
        changes.clear();
        cut_after = k_never;
        off_ = false;
    }

    /// Lays a file there whose writer did not sync it.
    void write_unsynced(const Path& path, std::string octets) {
        const auto node = make_node();
        node->octets = std::move(octets);
        auto& directory = *directories_.at(path.parent_path());
        directory.names[path.filename()] = directory.synced[path.filename()] =
            directory.journaled[path.filename()] = node;
    }
    /// Lays a durable file there.
    void write(const Path& path, std::string octets) {
        write_unsynced(path, std::move(octets));
        directories_.at(path.parent_path())->names.at(path.filename())->make_durable();
    }
    [[nodiscard]] std::string octets(const Path& path) const {
        return directories_.at(path.parent_path())->names.at(path.filename())->octets;
    }
    [[nodiscard]] std::set<std::string> names(const Path& folder) const {
        std::set<std::string> found;
        for (const auto& [name, node] : directories_.at(folder)->names) found.insert(name);
        return found;
    }

    Result<Folder> open_folder(const Path& path) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        const auto directory = directories_.find(path);
        if (directory == directories_.end())
            return failed(Error::Kind::not_found, path.string() + ": cannot open the folder");
        Folder folder;
        folder.fd = new_opening({directory->second, nullptr, Access::read});
        folder.path = path;
        return folder;
    }

    Result<void> create_folder(const Path& path, unsigned /*mode*/) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        if (!directories_.emplace(path, std::make_shared<Directory>()).second)
            return failed(Error::Kind::exists, path.string() + ": cannot create the folder");
        return {};
    }

    // Nothing here moves a folder away.
    Result<mailroot::os::Standing> follow(const Folder& /*folder*/) override {
        return mailroot::os::Standing::same;
    }

    Result<Fd> open(const Folder& folder, std::string_view name, Access access) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        const auto node = find(folder, name);
        if (!node) return failed(Error::Kind::not_found, folder.place(name) + ": cannot open");
        return new_opening({nullptr, node, access});
    }

    Result<Fd> create(const Folder& folder, std::string_view name) override {
        return change<Fd>("create " + folder.place(name), [&]() -> Result<Fd> {
            if (find(folder, name))
                return failed(Error::Kind::exists, folder.place(name) + ": cannot create");
            const auto node = make_node();
            alter({{&directory_of(folder), std::string(name), node}});
            return new_opening({nullptr, node, Access::write});
        });
    }

    Result<FileInfo> info(const Folder& folder, std::string_view name) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        const auto node = find(folder, name);
        if (!node)
            return failed(Error::Kind::not_found, folder.place(name) + ": cannot look at the file");
        return info_of(*node);
    }

    Result<FileInfo> info(const Fd& fd) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        return info_of(node_of(fd));
    }

    Result<std::size_t> read(const Fd& fd, std::uint64_t offset, std::span<char> into) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        const std::string& octets = node_of(fd).octets;
        return offset < octets.size() ? octets.copy(into.data(), into.size(), offset) : 0;
    }

    Result<void> append(const Fd& fd, std::string_view octets) override {
        return change<void>("append", [&]() -> Result<void> {
            Node& node = node_of(fd, Access::write);
            node.octets += octets;
            node.modified = node.changed = now;
            return {};
        });
    }

    Result<void> overwrite(const Fd& fd, std::uint64_t offset, std::string_view octets) override {
        return change<void>("overwrite", [&]() -> Result<void> {
            Node& node = node_of(fd, Access::write);
            node.octets.replace(offset, octets.size(), octets);
            node.modified = node.changed = now;
            return {};
        });
    }

    Result<void> sync(const Fd& fd) override {
        return change<void>("sync", [&]() -> Result<void> {
            node_of(fd).make_durable();
            return {};
        });
    }

    Result<void> sync_data(const Fd& fd) override {
        return change<void>("sync data", [&]() -> Result<void> {
            Node& node = node_of(fd);
            node.synced_octets = node.octets;
            return {};
        });
    }

    Result<void> sync(const Folder& folder) override {
        return change<void>("sync " + folder.path.filename().string(), [&]() -> Result<void> {
            Directory& directory = directory_of(folder);
            directory.synced = directory.names;
            // A journal is written in order: with one folder's names go all before them.
            for (const auto& change : journal_) write_through(change);
            journal_.clear();
            return {};
        });
    }

    Result<void> rename(const Folder& from, std::string_view name, const Folder& to,
                        std::string_view new_name) override {
        const auto what = "rename " + from.place(name) + " to " + to.place(new_name);
        return change<void>(what, [&]() -> Result<void> {
            if (find(from, name) && find(to, new_name))
                return failed(Error::Kind::exists, from.place(name) + ": cannot rename");
            return move(from, name, to, new_name);
        });
    }

    Result<void> replace(const Folder& folder, std::string_view name,
                         std::string_view new_name) override {
        const auto what = "replace " + folder.place(new_name) + " by " + folder.place(name);
        return change<void>(what, [&] { return move(folder, name, folder, new_name); });
    }

    Result<void> unlink(const Folder& folder, std::string_view name) override {
        return change<void>("unlink " + folder.place(name), [&]() -> Result<void> {
            if (!find(folder, name))
                return failed(Error::Kind::not_found, folder.place(name) + ": cannot remove");
            alter({{&directory_of(folder), std::string(name), nullptr}});
            return {};
        });
    }

    Result<void> set_modified(const Fd& fd, TimePoint time) override {
        return change<void>("set time", [&]() -> Result<void> {
            Node& node = node_of(fd);
            node.modified = time;
            node.changed = now;
            return {};
        });
    }

    Result<void> set_modified(const Folder& folder, std::string_view name,
                              TimePoint time) override {
        return change<void>("set time " + folder.place(name), [&]() -> Result<void> {
            const auto node = find(folder, name);
            if (!node)
                return failed(Error::Kind::not_found, folder.place(name) + ": cannot set the time");
            node->modified = time;
            node->changed = now;
            return {};
        });
    }

    Result<bool> lock(const Fd& fd) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        const auto opening = opening_of(fd);
        const auto holder = opening->node->locked_by.lock();
        if (holder && holder != opening && holder->is_open()) return false;
        opening->node->locked_by = opening;
        return true;
    }

    Result<mailroot::os::Space> space(const Folder&) override {
        return mailroot::os::Space{1ull << 40, true};
    }
    mailroot::os::Writers writers(const Fd& fd) override {
        const std::lock_guard lock(mutex_);
        if (off_) return mailroot::os::Writers::unknown;
        const Node& node = node_of(fd);
        const bool some = std::ranges::any_of(openings_, [&](const auto& entry) {
            const Opening& other = *entry.second;
            return other.node.get() == &node && other.access == Access::write && other.is_open();
        });
        return some ? mailroot::os::Writers::some : mailroot::os::Writers::none;
    }

    Result<std::unique_ptr<mailroot::os::FolderReader>> read_folder(const Folder& folder) override {
        const std::lock_guard lock(mutex_);
        if (off_) return no_power();
        auto reader = std::make_unique<Reader>();
        for (const auto& [name, node] : directory_of(folder).names) reader->names.push_back(name);
        // Sorted, `.<id>.ready` would come before all that it needs, which no folder promises.
        std::ranges::reverse(reader->names);
        return reader;
    }

 private:
    struct Opening;

    struct Node {
        std::uint64_t inode;
        std::string octets, synced_octets;
        TimePoint modified, synced_modified;
        TimePoint changed;
        std::weak_ptr<Opening> locked_by;

        void make_durable() {
            synced_octets = octets;
            synced_modified = modified;
        }
        void forget_unsynced() {
            octets = synced_octets;
            modified = synced_modified;
        }
    };

    using Names = std::map<std::string, std::shared_ptr<Node>>;

    struct Directory {
        Names names;
        Names synced;     ///< durable by syncs of this folder alone
        Names journaled;  ///< durable where names reach the disk in the order they were made
    };

    /// One name of a change; without a node it goes.
    struct NameChange {
        Directory* directory;
        std::string name;
        std::shared_ptr<Node> node;
    };

    /// What a descriptor stands for. The descriptor is a file of its own, so that it shows whether
    /// its owner closed it, even once its number is used again.
    struct Opening {
        std::shared_ptr<Directory> directory;
        std::shared_ptr<Node> node;
        Access access;
        int number = -1;
        ino_t identity = 0;

        [[nodiscard]] bool is_open() const {
            struct stat status;
            return ::fstat(number, &status) == 0 && status.st_ino == identity;
        }
    };

    struct Reader final : mailroot::os::FolderReader {
        std::vector<std::string> names;
        std::size_t at = 0;

        Result<std::optional<std::string_view>> next() override {
            if (at == names.size()) return std::nullopt;
            return names[at++];
        }
    };

    static tl::unexpected<Error> failed(Error::Kind kind, const std::string& step) {
        const auto* reason =
            kind == Error::Kind::exists ? ": File exists" : ": No such file or directory";
        return mailroot::fail(kind, step + reason);
    }

    static tl::unexpected<Error> no_power() {
        return mailroot::fail(Error::Kind::io, "the power is off");
    }

    template <class T, class Operation>
    Result<T> change(std::string what, Operation operation) {
        const std::lock_guard lock(mutex_);
        if (changes.size() >= cut_after) off_ = true;
        if (off_) return no_power();
        changes.push_back(std::move(what));
        now += std::chrono::milliseconds{1};
        return operation();
    }

    /// Changes names, all at once or not at all.
    void alter(std::vector<NameChange> change) {
        for (auto& [directory, name, node] : change) put(directory->names, name, node);
        journal_.push_back(std::move(change));
    }

    static void put(Names& names, const std::string& name, const std::shared_ptr<Node>& node) {
        if (node) {
            names[name] = node;
        } else {
            names.erase(name);
        }
    }

    static void write_through(const std::vector<NameChange>& change) {
        for (const auto& [directory, name, node] : change) put(directory->journaled, name, node);
    }

    Result<void> move(const Folder& from, std::string_view name, const Folder& to,
                      std::string_view new_name) {
        const auto node = find(from, name);
        if (!node) return failed(Error::Kind::not_found, from.place(name) + ": cannot rename");
        node->changed = now;
        alter({{&directory_of(from), std::string(name), nullptr},
               {&directory_of(to), std::string(new_name), node}});
        return {};
    }

    std::shared_ptr<Node> make_node() {
        auto node = std::make_shared<Node>();
        node->inode = ++last_inode_;
        node->modified = node->synced_modified = node->changed = now;
        return node;
    }

    Fd new_opening(Opening opening) {
        struct stat status;
        Fd fd(::memfd_create("opening", MFD_CLOEXEC));
        if (!fd || ::fstat(fd.number(), &status) != 0) std::abort();
        opening.number = fd.number();
        opening.identity = status.st_ino;
        openings_[fd.number()] = std::make_shared<Opening>(std::move(opening));
        return fd;
    }

    /// A descriptor that was not opened here, or before the last power cut, is a mistake of the
    /// test.
    std::shared_ptr<Opening> opening_of(const Fd& fd) { return openings_.at(fd.number()); }

    Node& node_of(const Fd& fd, Access access = Access::read) {
        const auto opening = opening_of(fd);
        if (access == Access::write && opening->access != Access::write) std::abort();
        return *opening->node;
    }

    Directory& directory_of(const Folder& folder) { return *opening_of(folder.fd)->directory; }

    std::shared_ptr<Node> find(const Folder& folder, std::string_view name) {
        const Names& names = directory_of(folder).names;
        const auto found = names.find(std::string(name));
        return found == names.end() ? nullptr : found->second;
    }

    FileInfo info_of(const Node& node) const {
        FileInfo info;
        info.kind = FileInfo::Kind::regular;
        info.device = 1;
        info.inode = node.inode;
        info.size = node.octets.size();
        info.modified = node.modified;
        info.changed = node.changed;
        for (const auto& [path, directory] : directories_) {
            for (const auto& [name, other] : directory->names)
                if (other.get() == &node) ++info.links;
        }
        return info;
    }

    std::mutex mutex_;
    bool off_ = false;
    std::uint64_t last_inode_ = 0;
    std::map<Path, std::shared_ptr<Directory>> directories_;
    std::vector<std::vector<NameChange>> journal_;
    std::map<int, std::shared_ptr<Opening>> openings_;
};
