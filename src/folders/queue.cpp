#include "folders/queue.hpp"

#include <algorithm>
#include <chrono>

namespace mailroot::folders {

namespace {

constexpr std::uint64_t k_max_history = 64u << 20;

std::string history_name(const MessageId& id) {
    return id.text() + ".json";
}

/// The id of `<id><extension>`.
std::optional<MessageId> id_of(std::string_view name, std::string_view extension) {
    if (!name.ends_with(extension)) return std::nullopt;
    return MessageId::parse(name.substr(0, name.size() - extension.size()));
}

/// What is remembered of a message; nothing where nothing can be read: it costs history, not mail.
History read_history(const Mailroot& mailroot, const MessageId& id) {
    auto fd = mailroot.files.open(mailroot.queue, history_name(id), os::Files::Access::read);
    if (!fd) return {};
    const auto text = os::read_whole(mailroot.files, *fd, k_max_history);
    if (!text) return {};
    return parse_history(*text).value_or(History{});
}

Result<void> write_history(const Mailroot& mailroot, const MessageId& id, const History& history) {
    return os::commit(mailroot.files, mailroot.queue, history_name(id), history_text(history),
                      os::Overwrite::yes);
}

/// The block of a file of ours; what lacks one, or has none to send to, is damaged.
Result<message::EnvelopeBlock> read_own_block(os::Files& files, const os::Fd& fd,
                                              std::uint64_t size) {
    auto block = read_block(files, fd);
    if (!block) return block;
    if (!block->has_sender) return fail(Error::Kind::parse, "line 1: no x-sender");
    if (block->envelope.recipients.empty()) return fail(Error::Kind::parse, "no x-receiver");
    if (block->marks.size() != block->envelope.recipients.size()) {
        return fail(Error::Kind::parse, "several recipients on one x-receiver line");
    }
    if (block->length == size) return fail(Error::Kind::parse, "no message behind the envelope");
    return block;
}

/// A file that was opened and locked, and whose name still is that file.
struct Locked {
    os::Fd fd;
    os::FileInfo info;
};

Result<std::optional<Locked>> lock_file(const Mailroot& mailroot, const std::string& name,
                                        os::Files::Access access) {
    auto& files = mailroot.files;
    auto fd = files.open(mailroot.queue, name, access);
    if (!fd && fd.error().kind == Error::Kind::not_found) return std::nullopt;
    if (!fd) return fail(std::move(fd));
    const auto locked = files.lock(*fd);
    if (!locked) return tl::unexpected(Error(locked.error()).in(mailroot.queue.place(name)));
    if (!*locked) return std::nullopt;

    // Between open and lock another may have finished with it.
    const auto held = files.info(*fd);
    if (!held) return tl::unexpected(Error(held.error()).in(mailroot.queue.place(name)));
    const auto named = files.info(mailroot.queue, name);
    if (!named || !named->same_file(*held)) return std::nullopt;
    return Locked{std::move(*fd), *held};
}

}  // namespace

std::string pickup_name(const MessageId& id) {
    return id.text() + ".pickup";
}

TimePoint held_from() {
    using namespace std::chrono;
    return sys_days{year{2100} / January / 1};
}

QueuedMessage::QueuedMessage(const Mailroot& mailroot, const MessageId& id, os::Fd fd,
                             const os::FileInfo& info, message::EnvelopeBlock block,
                             History history)
    : mailroot_(&mailroot),
      id_(id),
      fd_(std::move(fd)),
      info_(info),
      block_(std::move(block)),
      history_(std::move(history)) {}

std::vector<std::size_t> QueuedMessage::unsettled() const {
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < envelope().recipients.size(); ++i) {
        if (!envelope().recipients[i].settled) left.push_back(i);
    }
    return left;
}

std::unique_ptr<MessageReader> QueuedMessage::reader() const {
    return std::make_unique<CanonicalReader>(mailroot_->files, fd_, block_.length, info_);
}

Result<void> QueuedMessage::settle(std::span<const std::size_t> recipients) {
    for (const auto recipient : recipients) {
        MAILROOT_TRY(mailroot_->files.overwrite(fd_, block_.marks[recipient], "d"));
        block_.envelope.recipients[recipient].settled = true;
    }
    return mailroot_->files.sync_data(fd_);
}

Result<void> QueuedMessage::defer(const History& history, TimePoint next_attempt) {
    history_ = history;
    auto written = write_history(*mailroot_, id_, history);
    // Held while it was attempted: that stays.
    const auto now = mailroot_->files.info(fd_);
    if (now && now->modified >= held_from()) return written;
    // The history may be lost, the time may not: without it the message would be tried again at
    // once.
    MAILROOT_TRY(mailroot_->files.set_modified(fd_, next_attempt));
    return written;
}

Result<void> QueuedMessage::remove() {
    MAILROOT_TRY(mailroot_->files.unlink(mailroot_->queue, message_name(id_)));
    auto removed = mailroot_->files.unlink(mailroot_->queue, history_name(id_));
    if (!removed && removed.error().kind != Error::Kind::not_found) return removed;
    return {};
}

Result<message::PickupMessage> TakenPickup::scan(message::PickupRules rules) {
    auto& files = mailroot_->files;
    const auto info = files.info(fd_);
    if (!info) return tl::unexpected(info.error());
    scanned_ = *info;
    message::PickupScanner scanner(std::move(rules));
    std::string buffer(64 * 1024, '\0');
    for (std::uint64_t at = 0; at < scanned_.size;) {
        const auto got = files.read(fd_, at, buffer);
        if (!got) return tl::unexpected(got.error());
        if (*got == 0) break;
        MAILROOT_TRY(scanner.feed(std::string_view(buffer).substr(0, *got)));
        at += *got;
    }
    return scanner.finish();
}

std::unique_ptr<MessageReader> TakenPickup::reader(const message::PickupMessage& message,
                                                   std::string added) const {
    return std::make_unique<PickupReader>(mailroot_->files, fd_, scanned_, message,
                                          std::move(added));
}

Result<void> TakenPickup::remove() {
    MAILROOT_TRY(mailroot_->files.unlink(mailroot_->queue, pickup_name(id_)));
    return remove_history();
}

Result<void> TakenPickup::put_back(std::string_view name) {
    const auto lay = [&](std::string_view as) {
        return mailroot_->files.rename(mailroot_->queue, pickup_name(id_), mailroot_->pickup, as);
    };
    auto laid = name.empty() ? lay(message_name(id_)) : lay(name);
    if (!laid && laid.error().kind == Error::Kind::exists) laid = lay(message_name(id_));
    if (!laid) return laid;
    return remove_history();
}

Result<void> TakenPickup::remove_history() {
    if (crashes_ == 0) return {};
    // The count of crashes is the whole history of a pickup file. A message of that id has its own.
    if (mailroot_->files.info(mailroot_->queue, message_name(id_))) return {};
    auto removed = mailroot_->files.unlink(mailroot_->queue, history_name(id_));
    if (!removed && removed.error().kind != Error::Kind::not_found) return removed;
    return {};
}

Result<void> Queue::scan(const std::function<void(const Entry&)>& entry,
                         const std::function<void(std::string_view)>& foreign) const {
    return mailroot_.files.list(mailroot_.queue, [&](std::string_view name) {
        if (name.starts_with('.') || id_of(name, ".json")) return true;
        const auto message = id_of(name, ".eml");
        const auto id = message ? message : id_of(name, ".pickup");
        if (!id) {
            foreign(name);
            return true;
        }
        // What is gone by now was somebody's; what cannot be looked at shows when it is claimed.
        const auto info = mailroot_.files.info(mailroot_.queue, name);
        if (info) entry({*id, !message, info->modified, info->size});
        return true;
    });
}

Result<std::optional<QueuedMessage>> Queue::claim(const MessageId& id, TimePoint due_by) const {
    const auto name = message_name(id);
    auto locked = lock_file(mailroot_, name, os::Files::Access::write);
    if (!locked) return fail(std::move(locked));
    if (!*locked) return std::nullopt;
    auto& [fd, info] = **locked;
    if (info.modified > due_by || info.modified >= held_from()) return std::nullopt;
    auto block = read_own_block(mailroot_.files, fd, info.size);
    if (!block) return fail(std::move(block), mailroot_.queue.place(name));
    return QueuedMessage(mailroot_, id, std::move(fd), info, std::move(*block),
                         read_history(mailroot_, id));
}

Result<std::optional<TakenPickup>> Queue::resume(const MessageId& id) const {
    auto locked = lock_file(mailroot_, pickup_name(id), os::Files::Access::read);
    if (!locked) return fail(std::move(locked));
    if (!*locked) return std::nullopt;
    if (mailroot_.files.info(mailroot_.queue, message_name(id))) {
        MAILROOT_TRY(mailroot_.files.unlink(mailroot_.queue, pickup_name(id)));
        return std::nullopt;
    }
    // Counted before it is touched: the file may be what ends us.
    auto history = read_history(mailroot_, id);
    ++history.crashes;
    MAILROOT_TRY(write_history(mailroot_, id, history));
    return TakenPickup(mailroot_, id, std::move((*locked)->fd), history.crashes);
}

Result<std::optional<TakenPickup>> Queue::adopt(std::string_view name, const MessageId& id,
                                                TimePoint settled_by) const {
    const std::string text(name);
    // Before it is opened, and not locked while it is empty: for the reasons that Pickup::take has.
    const auto info = mailroot_.files.info(mailroot_.queue, name);
    if (!info) return std::nullopt;
    if (info->kind != os::FileInfo::Kind::regular || info->links != 1) {
        return fail(Error::Kind::parse, mailroot_.queue.place(name) + ": not a plain file");
    }
    if (info->size == 0 || info->changed > settled_by) return std::nullopt;
    auto locked = lock_file(mailroot_, text, os::Files::Access::read);
    if (!locked) return fail(std::move(locked));
    if (!*locked || !(*locked)->info.unchanged_since(*info)) return std::nullopt;
    MAILROOT_TRY(mailroot_.files.rename(mailroot_.queue, text, mailroot_.queue, pickup_name(id)));
    return TakenPickup(mailroot_, id, std::move((*locked)->fd), 0);
}

Result<NewMessage> Queue::begin(const MessageId& id, const Envelope& envelope) const {
    return NewMessage::begin(mailroot_, mailroot_.queue, id, message::envelope_block(envelope));
}

Result<Queue::Waiting> Queue::look(const Entry& entry) const {
    const auto name = entry.pickup ? pickup_name(entry.id) : message_name(entry.id);
    auto fd = mailroot_.files.open(mailroot_.queue, name, os::Files::Access::read);
    if (!fd) return fail(std::move(fd));
    auto block = entry.pickup ? read_block(mailroot_.files, *fd)
                              : read_own_block(mailroot_.files, *fd, entry.size);
    if (!block) return fail(std::move(block), mailroot_.queue.place(name));
    return Waiting{std::move(block->envelope), read_history(mailroot_, entry.id)};
}

}  // namespace mailroot::folders
