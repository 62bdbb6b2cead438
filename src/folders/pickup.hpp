#pragma once

#include "core/message_id.hpp"
#include "core/result.hpp"
#include "folders/mailroot.hpp"
#include "folders/queue.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace mailroot::folders {

/// Where others lay files to be sent: applications into Pickup, administrators into Queue too,
/// under names that are not ours. Nobody tells when a file is whole: see take().
class Pickup {
 public:
    enum class Place { pickup, queue };

    /// What speaks for a file's being whole.
    struct Evidence {
        bool closed = false;  ///< an event told that its writer closed it or moved it in
        std::optional<os::FileInfo> settled;  ///< it looked like this at least `pickup.settle` ago
        bool long_settled = false;            ///< and that ten times as long ago
    };

    /// What came of trying to take a file.
    struct Attempt {
        enum class Outcome {
            taken,     ///< `file` is ours
            growing,   ///< not known to be whole: look again, with `info` as evidence
            gone,      ///< another took it
            unusable,  ///< it cannot be taken as it is: `reason`
        };
        Outcome outcome;
        std::optional<TakenPickup> file;
        os::FileInfo info;
        Error reason{Error::Kind::io, ""};
    };

    explicit Pickup(const Mailroot& mailroot, Place place = Place::pickup)
        : mailroot_(mailroot),
          place_(place),
          folder_(place == Place::pickup ? mailroot.pickup : mailroot.queue) {}

    /// One directory entry.
    struct Entry {
        std::string name;
        TimePoint arrival;  ///< the last change of the file, its rename included

        /// In order of arrival.
        friend bool operator<(const Entry& a, const Entry& b) {
            return std::tie(a.arrival, a.name) < std::tie(b.arrival, b.name);
        }
    };

    /// Calls `entry` for each file that may be one to take.
    Result<void> scan(const std::function<void(Entry)>& entry) const;

    /// Of these the `most` that arrived first after `last`, in order. So a folder of any size is
    /// worked through with little memory.
    [[nodiscard]] Result<std::vector<Entry>> first_after(const std::optional<Entry>& last,
                                                         std::size_t most) const;

    /// Whether a name may be one to take: never `.*`, `*.tmp`, `*.part`, `*~`, and in Queue none of
    /// our own.
    [[nodiscard]] bool is_candidate(std::string_view name) const;

    /// Why a file cannot be taken, whoever wrote it and however long ago; nothing where it can, or
    /// will be once it is whole. Never locks.
    [[nodiscard]] std::optional<Error> reason_against(std::string_view name) const;

    /// Takes a file by DESIGN's rules: a plain file with one link, not empty, not locked by its
    /// writer, and whole by an event, a lease, or having stayed as it was. It becomes
    /// `Queue/<id>.pickup`, locked.
    [[nodiscard]] Attempt take(std::string_view name, const Evidence& evidence,
                               const MessageId& id) const;

 private:
    const Mailroot& mailroot_;
    const Place place_;
    const os::Folder& folder_;
};

}  // namespace mailroot::folders
