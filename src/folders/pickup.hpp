#pragma once

#include "core/message_id.hpp"
#include "core/result.hpp"
#include "folders/mailroot.hpp"
#include "folders/queue.hpp"

#include <functional>
#include <optional>
#include <string_view>

namespace mailroot::folders {

/// The folder into which applications put mail. Nobody tells when a file is whole: see take().
class Pickup {
 public:
    /// What speaks for a file's being whole.
    struct Evidence {
        bool closed = false;  ///< an event told that its writer closed it or moved it in
        std::optional<os::FileInfo> settled;  ///< it looked like this at least `pickup.settle` ago
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

    explicit Pickup(const Mailroot& mailroot) : mailroot_(mailroot) {}

    /// Calls `name` for each file that may be one to take; never for `.*`, `*.tmp`, `*.part`, `*~`.
    Result<void> scan(const std::function<void(std::string_view name)>& name) const;

    /// Whether a name may be one to take.
    [[nodiscard]] static bool is_candidate(std::string_view name);

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
};

}  // namespace mailroot::folders
