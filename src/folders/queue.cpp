#include "folders/queue.hpp"

#include "core/first_of.hpp"
#include "folders/claim.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace mailroot::folders {

namespace {

constexpr std::uint64_t k_max_history = 64u << 20;

// Enough to be worth a change of threads, too few to keep others waiting.
constexpr std::size_t k_names_of_portion = 1000;

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

/// A canonical message ends with a whole line; one that does not was cut off. Of a binary one
/// nobody can tell.
Result<void> check_end(os::Files& files, const os::Fd& fd, std::uint64_t size) {
    std::array<char, 2> end{};
    const auto got = files.read(fd, size - end.size(), end);
    if (!got) return tl::unexpected(got.error());
    if (std::string_view(end.data(), *got) != "\r\n")
        return fail(Error::Kind::parse, "cut off: its last line has no end");
    return {};
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
    if (block->envelope.body != Body::binary_mime) MAILROOT_TRY(check_end(files, fd, size));
    return block;
}

/// Removes a pickup file; that it is gone already is as good.
Result<void> remove_pickup(const Mailroot& mailroot, const MessageId& id) {
    auto removed = mailroot.files.unlink(mailroot.queue, pickup_name(id));
    if (!removed && removed.error().kind != Error::Kind::not_found) return removed;
    return {};
}

/// Whether somebody has the file open for writing. To be asked before it is opened for writing
/// here; where the system does not tell, no.
bool is_being_written(const Mailroot& mailroot, const std::string& name) {
    const auto fd = mailroot.files.open(mailroot.queue, name, os::Files::Access::read);
    return fd && mailroot.files.writers(*fd) == os::Writers::some;
}

/// Adds what a name stands for to the portion.
void sort_in(const Mailroot& mailroot, std::string_view name, Queue::Portion& portion) {
    if (name.starts_with('.') || id_of(name, ".json")) return;
    const auto message = id_of(name, ".eml");
    const auto id = message ? message : id_of(name, ".pickup");
    if (!id) {
        portion.foreign.emplace_back(name);
        return;
    }
    // What is gone by now was somebody's; what cannot be looked at shows when it is claimed.
    const auto info = mailroot.files.info(mailroot.queue, name);
    if (info) portion.entries.push_back({*id, !message, info->modified, info->size});
}

}  // namespace

std::string pickup_name(const MessageId& id) {
    return id.text() + ".pickup";
}

TimePoint held_from() {
    using namespace std::chrono;
    return sys_days{year{2100} / January / 1};
}

TimePoint whenever_due() {
    return held_from() - TimePoint::duration{1};
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
    return std::make_unique<CanonicalReader>(
        mailroot_->files, fd_, mailroot_->queue.place(message_name(id_)), block_.length, info_);
}

Result<void> QueuedMessage::settle(std::span<const std::size_t> recipients) {
    auto marked = mark(recipients);
    if (!marked) return fail(std::move(marked), mailroot_->queue.place(message_name(id_)));
    return marked;
}

Result<void> QueuedMessage::mark(std::span<const std::size_t> recipients) {
    const auto before = mailroot_->files.info(fd_);
    if (!before) return tl::unexpected(before.error());
    for (const auto recipient : recipients) {
        MAILROOT_TRY(mailroot_->files.overwrite(fd_, block_.marks[recipient], "d"));
        block_.envelope.recipients[recipient].settled = true;
    }
    MAILROOT_TRY(mailroot_->files.sync_data(fd_));
    // The marks changed the mtime: a hold must not be lost by it.
    if (before->modified < held_from()) return {};
    return mailroot_->files.set_modified(fd_, before->modified);
}

Result<void> QueuedMessage::remember(const History& history) {
    history_ = history;
    return write_history(*mailroot_, id_, history);
}

Result<void> QueuedMessage::defer(const History& history, TimePoint next_attempt) {
    auto written = remember(history);
    // Held while it was attempted: that stays.
    const auto now = mailroot_->files.info(fd_);
    if (now && now->modified >= held_from()) return written;
    // The history may be lost, the time may not: without it the message would be tried again at
    // once.
    auto due = mailroot_->files.set_modified(fd_, next_attempt);
    if (!due) return fail(std::move(due), mailroot_->queue.place(message_name(id_)));
    return written;
}

Result<void> QueuedMessage::remove() {
    // The file it was made of is superseded only as long as the message stands beside it.
    MAILROOT_TRY(remove_pickup(*mailroot_, id_));
    auto removed = mailroot_->files.unlink(mailroot_->queue, message_name(id_));
    if (!removed && removed.error().kind != Error::Kind::not_found) return removed;
    // The disk frees the octets when the last descriptor goes: here, where waiting for it is right.
    fd_ = os::Fd();
    // A history that stays has lost its message, and is swept.
    (void)mailroot_->files.unlink(mailroot_->queue, history_name(id_));
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
    // What can be read through ended nobody.
    (void)remove_history();
    return scanner.finish();
}

std::unique_ptr<MessageReader> TakenPickup::reader(const message::PickupMessage& message,
                                                   std::string added) const {
    return std::make_unique<PickupReader>(mailroot_->files, fd_,
                                          mailroot_->queue.place(pickup_name(id_)), scanned_,
                                          message, std::move(added));
}

Result<void> TakenPickup::remove() {
    MAILROOT_TRY(remove_pickup(*mailroot_, id_));
    fd_ = os::Fd();  // for the reason that QueuedMessage::remove() has
    return remove_history();
}

Result<void> TakenPickup::put_back(std::string_view name) {
    const auto lay = [&](std::string_view as) {
        return mailroot_->files.rename(mailroot_->queue, pickup_name(id_), mailroot_->pickup, as);
    };
    auto laid = name.empty() ? lay(message_name(id_)) : lay(name);
    if (!laid && laid.error().kind == Error::Kind::exists) laid = lay(message_name(id_));
    // Gone is somebody else's doing, and leaves nothing to be laid back.
    if (!laid && laid.error().kind != Error::Kind::not_found) return laid;
    return remove_history();
}

Result<void> TakenPickup::remove_history() {
    if (crashes_ == 0) return {};
    // The count of crashes is the whole history of a pickup file. A message of that id has its own.
    if (os::is_there(mailroot_->files, mailroot_->queue, message_name(id_)).value_or(true))
        return {};
    auto removed = mailroot_->files.unlink(mailroot_->queue, history_name(id_));
    if (!removed && removed.error().kind != Error::Kind::not_found) return removed;
    return {};
}

bool Queue::is_own(std::string_view name) {
    return name.starts_with('.') || id_of(name, ".json") || id_of(name, ".eml") ||
           id_of(name, ".pickup");
}

bool Queue::is_message(std::string_view name) {
    return id_of(name, ".eml").has_value();
}

Result<Queue::Scan> Queue::scan() const {
    auto names = mailroot_.files.read_folder(mailroot_.queue);
    if (!names) return fail(std::move(names));
    return Scan(mailroot_, std::move(*names));
}

Result<Queue::Portion> Queue::Scan::next() {
    Portion portion;
    for (std::size_t i = 0; i < k_names_of_portion; ++i) {
        const auto name = names_->next();
        if (!name) return tl::unexpected(name.error());
        if (!*name) {
            portion.last = true;
            break;
        }
        sort_in(*mailroot_, **name, portion);
    }
    return portion;
}

Result<void> Queue::for_each(const std::function<void(const Entry&)>& entry,
                             const std::function<void(const std::string&)>& foreign) const {
    auto reading = scan();
    if (!reading) return fail(std::move(reading));
    for (;;) {
        const auto portion = reading->next();
        if (!portion) return tl::unexpected(portion.error());
        std::ranges::for_each(portion->entries, entry);
        std::ranges::for_each(portion->foreign, foreign);
        if (portion->last) return {};
    }
}

Result<std::vector<Queue::Entry>> Queue::first_after(
    const std::optional<MessageId>& last, std::size_t most,
    const std::function<bool(const Entry&)>& wanted) const {
    const auto came_before = [](const Entry& a, const Entry& b) { return a.id < b.id; };
    FirstOf<Entry, decltype(came_before)> first(most, came_before);
    MAILROOT_TRY(for_each(
        [&](const Entry& entry) {
            if ((!last || *last < entry.id) && wanted(entry)) first.add(entry);
        },
        [](const std::string&) {}));
    return first.take();
}

Queue::Portion Queue::find(const std::vector<std::string>& names) const {
    Portion portion;
    for (const auto& name : names) sort_in(mailroot_, name, portion);
    return portion;
}

Result<std::optional<QueuedMessage>> Queue::claim(const MessageId& id, TimePoint due_by) const {
    const auto name = message_name(id);
    // An administrator copies files in, and a torn one must not go out.
    if (is_being_written(mailroot_, name)) return std::nullopt;
    auto locked = claim_file(mailroot_.files, mailroot_.queue, name, os::Files::Access::write);
    if (!locked) return fail(std::move(locked));
    if (!*locked) return std::nullopt;
    auto& [fd, info] = **locked;
    if (info.modified > due_by) return std::nullopt;
    auto block = read_own_block(mailroot_.files, fd, info.size);
    if (!block) return fail(std::move(block), mailroot_.queue.place(name));
    return QueuedMessage(mailroot_, id, std::move(fd), info, std::move(*block),
                         read_history(mailroot_, id));
}

Result<bool> Queue::put_off(const MessageId& id, TimePoint due_by, TimePoint next_attempt) const {
    const auto name = message_name(id);
    const auto info = mailroot_.files.info(mailroot_.queue, name);
    if (!info || info->modified > due_by) return false;
    // Without a claim, as `touch` does it: whoever has it in hand sets its time in the end.
    MAILROOT_TRY(mailroot_.files.set_modified(mailroot_.queue, name, next_attempt));
    return true;
}

Result<std::optional<TakenPickup>> Queue::resume(const MessageId& id) const {
    auto locked =
        claim_file(mailroot_.files, mailroot_.queue, pickup_name(id), os::Files::Access::read);
    if (!locked) return fail(std::move(locked));
    if (!*locked) return std::nullopt;
    const auto superseded = os::is_there(mailroot_.files, mailroot_.queue, message_name(id));
    if (!superseded) return tl::unexpected(superseded.error());
    if (*superseded) {
        MAILROOT_TRY(remove_pickup(mailroot_, id));
        return std::nullopt;
    }
    // Whoever settled the message that it was made of has removed both, this file first.
    if (!still_names(mailroot_.files, mailroot_.queue, pickup_name(id), (*locked)->info))
        return std::nullopt;
    // Counted before it is touched: the file may be what ends us. Not synced: of a power cut no
    // file is the cause.
    auto history = read_history(mailroot_, id);
    ++history.crashes;
    MAILROOT_TRY(os::commit_unsynced(mailroot_.files, mailroot_.queue, history_name(id),
                                     history_text(history)));
    return TakenPickup(mailroot_, id, std::move((*locked)->fd), history.crashes);
}

Result<bool> Queue::remove(const Entry& entry) const {
    const auto name = entry.pickup ? pickup_name(entry.id) : message_name(entry.id);
    const auto locked = claim_file(mailroot_.files, mailroot_.queue, name, os::Files::Access::read);
    if (!locked) return tl::unexpected(locked.error());
    if (!*locked) return false;
    MAILROOT_TRY(remove_pickup(mailroot_, entry.id));
    if (!entry.pickup) MAILROOT_TRY(mailroot_.files.unlink(mailroot_.queue, name));
    (void)mailroot_.files.unlink(mailroot_.queue, history_name(entry.id));
    return true;
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
