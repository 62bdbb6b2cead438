#pragma once

#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/result.hpp"
#include "folders/history.hpp"
#include "folders/mailroot.hpp"
#include "folders/message_reader.hpp"
#include "folders/new_message.hpp"
#include "message/envelope_block.hpp"
#include "message/pickup_message.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mailroot::folders {

/// A message file of Queue that is ours while this lives: `<id>.eml`, locked, read after the lock.
class QueuedMessage {
 public:
    [[nodiscard]] const MessageId& id() const { return id_; }
    [[nodiscard]] const Envelope& envelope() const { return block_.envelope; }
    [[nodiscard]] const History& history() const { return history_; }

    /// When it was due as it was claimed.
    [[nodiscard]] TimePoint next_attempt() const { return info_.modified; }

    /// Indexes into envelope().recipients of those nobody has settled yet.
    [[nodiscard]] std::vector<std::size_t> unsettled() const;

    /// The message from its header on. The reader must not outlive this.
    [[nodiscard]] std::unique_ptr<MessageReader> reader() const;

    /// Marks recipients in the file (`x-received:`), durable when it returns.
    Result<void> settle(std::span<const std::size_t> recipients);

    /// Writes the history alone.
    Result<void> remember(const History& history);

    /// Remembers the attempt, then makes the file due at `next_attempt`.
    Result<void> defer(const History& history, TimePoint next_attempt);

    /// Nothing is left to do: removes the message, then its history. Only id() and envelope() may
    /// be used afterwards. Where it could not be removed, mark its recipients instead.
    Result<void> remove();

 private:
    Result<void> mark(std::span<const std::size_t> recipients);

    friend class Queue;
    QueuedMessage(const Mailroot& mailroot, const MessageId& id, os::Fd fd,
                  const os::FileInfo& info, message::EnvelopeBlock block, History history);

    const Mailroot* mailroot_;
    MessageId id_;
    os::Fd fd_;
    os::FileInfo info_;
    message::EnvelopeBlock block_;
    History history_;
};

/// A file taken from Pickup and not made canonical yet: `Queue/<id>.pickup`, locked (state P2).
class TakenPickup {
 public:
    [[nodiscard]] const MessageId& id() const { return id_; }

    /// How many processes ended in a row before they had read it through.
    [[nodiscard]] int crashes() const { return crashes_; }

    /// Reads it through; what was counted against it is forgotten. Kind::parse says what is wrong
    /// and at which line.
    Result<message::PickupMessage> scan(message::PickupRules rules);

    /// The canonical message with `added` header fields in front; only after scan(). The reader
    /// must not outlive this.
    [[nodiscard]] std::unique_ptr<MessageReader> reader(const message::PickupMessage& message,
                                                        std::string added) const;

    /// It went out: removes it. Only id() may be used afterwards.
    Result<void> remove();

    /// It cannot be worked on now: lays it into Pickup again, as `name` or, where that is empty or
    /// taken, as `<id>.eml`.
    Result<void> put_back(std::string_view name);

 private:
    Result<void> remove_history();

    friend class Queue;
    friend class Pickup;
    friend class Badmail;
    TakenPickup(const Mailroot& mailroot, const MessageId& id, os::Fd fd, int crashes)
        : mailroot_(&mailroot), id_(id), fd_(std::move(fd)), crashes_(crashes) {}

    const Mailroot* mailroot_;
    MessageId id_;
    os::Fd fd_;
    int crashes_;
    os::FileInfo scanned_;
};

/// The name of a taken file: `<id>.pickup`.
[[nodiscard]] std::string pickup_name(const MessageId& id);

/// A file's mtime from here on means that it is held: no attempt until it is released.
[[nodiscard]] TimePoint held_from();

/// By then all is due that is not held.
[[nodiscard]] TimePoint whenever_due();

/// The messages that wait. The folder is the state; see src/README.md for the table.
class Queue {
 public:
    /// One directory entry.
    struct Entry {
        MessageId id;
        bool pickup = false;     ///< a `.pickup` file that a process left
        TimePoint next_attempt;  ///< its mtime
        std::uint64_t size = 0;
    };

    explicit Queue(const Mailroot& mailroot) : mailroot_(mailroot) {}

    /// A part of what the folder holds.
    struct Portion {
        std::vector<Entry> entries;
        std::vector<std::string> foreign;  ///< neither messages nor companions of ours
        bool last = false;                 ///< there is no other
    };

    /// Reads the folder a portion at a time, by directory entry and file time alone, in no order.
    class Scan {
     public:
        Result<Portion> next();

     private:
        friend class Queue;
        Scan(const Mailroot& mailroot, std::unique_ptr<os::FolderReader> names)
            : mailroot_(&mailroot), names_(std::move(names)) {}

        const Mailroot* mailroot_;
        std::unique_ptr<os::FolderReader> names_;
    };
    [[nodiscard]] Result<Scan> scan() const;

    /// The same, to the end: calls `entry` for each message and `foreign` for each foreign name.
    Result<void> for_each(const std::function<void(const Entry&)>& entry,
                          const std::function<void(const std::string& name)>& foreign) const;

    /// Of the messages that `wanted` is true for the `most` that came first after `last`, in order.
    /// So a queue of any size is worked through with little memory.
    [[nodiscard]] Result<std::vector<Entry>> first_after(
        const std::optional<MessageId>& last, std::size_t most,
        const std::function<bool(const Entry&)>& wanted) const;

    /// What a few names stand for, of which some may be gone: for what an event told.
    [[nodiscard]] Portion find(const std::vector<std::string>& names) const;

    /// Whether we made a file of that name, or make it sooner or later.
    [[nodiscard]] static bool is_own(std::string_view name);

    /// Whether it is the name of a message: `<id>.eml`.
    [[nodiscard]] static bool is_message(std::string_view name);

    /// Takes a message that is due by `due_by`; by TimePoint::max() one that is held, too. Nothing
    /// where it is gone, another's, not due, or still being written. Kind::parse where it is
    /// damaged: leave it and say so.
    [[nodiscard]] Result<std::optional<QueuedMessage>> claim(const MessageId& id,
                                                             TimePoint due_by) const;

    /// Puts off a message that is due by `due_by` without a look at it: it is due at
    /// `next_attempt`. False where it is gone or not due.
    [[nodiscard]] Result<bool> put_off(const MessageId& id, TimePoint due_by,
                                       TimePoint next_attempt) const;

    /// Takes up a `.pickup` file that a process left, counting the crash. Nothing where it is gone
    /// or another's, or where the message was made canonical already (then the file is removed).
    [[nodiscard]] Result<std::optional<TakenPickup>> resume(const MessageId& id) const;

    /// Takes out a message or pickup file, held or damaged ones too, without a word to anybody.
    /// False where it is gone or in another's hands.
    [[nodiscard]] Result<bool> remove(const Entry& entry) const;

    /// A new message, to be filled and committed. Recipients may be settled already.
    [[nodiscard]] Result<NewMessage> begin(const MessageId& id, const Envelope& envelope) const;

    /// What a report shows; never locks. Kind::parse where the file is damaged.
    struct Waiting {
        Envelope envelope;
        History history;
    };
    [[nodiscard]] Result<Waiting> look(const Entry& entry) const;

 private:
    const Mailroot& mailroot_;
};

}  // namespace mailroot::folders
