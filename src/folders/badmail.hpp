#pragma once

#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/result.hpp"
#include "folders/hand_over.hpp"
#include "folders/mailroot.hpp"
#include "folders/queue.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::folders {

/// Why a message can neither go nor be returned, named after IIS's counters (IIS-SMTP.md section
/// 4).
enum class BadmailReason {
    bad_pickup_file,     ///< it cannot be read as mail
    general_failure,     ///< refused, and nobody to return it to
    hop_count_exceeded,  ///< it goes in circles
    ndr_of_dsn,          ///< a report that cannot be delivered
    too_many_reports,    ///< the sender was sent too many to be sent another
};

/// `badPickupFile`, as reports and selections name it.
[[nodiscard]] std::string_view name_of(BadmailReason reason);

/// What is written beside a bad message, and read by reports.
struct BadmailProperties {
    struct Failure {
        std::string recipient;
        std::string host;
        std::string reply;
    };

    MessageId id{0, 0};       ///< the message's own, which the file's name need not be
    std::string reason;       ///< name_of() a reason
    std::string explanation;  ///< for people, one line: `line 3: …`
    std::string file;         ///< its name in Pickup, where it came from there
    std::string sender;       ///< empty: `<>`, or unknown
    std::vector<std::string> recipients;
    std::vector<Failure> failures;  ///< what became of each recipient
    TimePoint when;                 ///< it came here
};

/// The folder of what can neither go nor be returned. Each message is `<name>.bad`, with
/// `<name>.bdr`, the reason for people, and `<name>.bdp`, the properties as JSON; both stand before
/// the message does.
class Badmail {
 public:
    explicit Badmail(const Mailroot& mailroot) : mailroot_(mailroot) {}

    /// Takes a pickup file as it is, byte for byte.
    Result<void> take(TakenPickup& file, const BadmailProperties& properties) const;

    /// A name that no entry has: that of `id`, else of `spare`.
    [[nodiscard]] std::string free_name(const MessageId& id, const MessageId& spare) const;

    /// A message that comes from Queue, for the unsettled recipients of `envelope`: settle the
    /// source, then show().
    [[nodiscard]] Result<HandOver> prepare(const std::string& name, const Envelope& envelope,
                                           MessageReader& reader,
                                           const BadmailProperties& properties) const;

    /// Makes a prepared message visible.
    Result<void> show(HandOver& file, const std::string& name) const;

    /// One directory entry.
    struct Entry {
        std::string name;  ///< without `.bad`
        TimePoint modified;
        std::uint64_t size = 0;
    };
    Result<void> scan(const std::function<void(const Entry&)>& entry) const;

    /// One entry with all its files.
    struct Dated {
        MessageId id{0, 0};  ///< its name
        TimePoint arrival;   ///< in Badmail
        std::uint64_t octets = 0;
    };

    /// What the folder holds under names that are ids; others are not ours to clear away.
    struct Stock {
        std::uint64_t count = 0;
        std::uint64_t octets = 0;
        std::vector<Dated> oldest;  ///< of them the first to come, in order
    };

    /// Counts all, and names `most`: so a folder of any size is worked through with little memory.
    [[nodiscard]] Result<Stock> stock(std::size_t most) const;

    /// Lays a message into Pickup as `<name>.eml`, for the recipients in its block; what described
    /// it goes. False where it is gone or in another's hands.
    [[nodiscard]] Result<bool> requeue(const std::string& name) const;

    /// Removes a message, then what described it; the folder is not synced. False where it is gone
    /// or in another's hands.
    [[nodiscard]] Result<bool> remove(const std::string& name) const;

    /// Kind::not_found where the properties are missing, parse where they cannot be read.
    [[nodiscard]] Result<BadmailProperties> look(const std::string& name) const;

 private:
    Result<void> describe(const std::string& name, const BadmailProperties& properties) const;

    const Mailroot& mailroot_;
};

}  // namespace mailroot::folders
