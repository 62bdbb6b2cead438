#include "folders/recovery.hpp"

#include "folders/badmail.hpp"
#include "folders/queue.hpp"
#include "message/envelope_block.hpp"

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace mailroot::folders {

namespace {

using namespace std::chrono_literals;

/// Longer than any writer goes between two steps.
constexpr auto k_sweep_age = 15min;

/// `<id>` of `.<id>.ready`.
std::optional<std::string> ready_name(std::string_view name) {
    constexpr std::string_view k_extension = ".ready";
    if (!name.starts_with('.') || !name.ends_with(k_extension)) return std::nullopt;
    return std::string(name.substr(1, name.size() - 1 - k_extension.size()));
}

/// Opens and locks a file of `folder`; nothing where it is gone or somebody's.
std::optional<os::Fd> lock_abandoned(const Mailroot& mailroot, const os::Folder& folder,
                                     const std::string& name) {
    auto fd = mailroot.files.open(folder, name, os::Files::Access::read);
    if (!fd || !mailroot.files.lock(*fd).value_or(false)) return std::nullopt;
    const auto held = mailroot.files.info(*fd);
    const auto named = mailroot.files.info(folder, name);
    if (!held || !named || !named->same_file(*held)) return std::nullopt;
    return std::move(*fd);
}

/// Mailboxes that can be looked up: equal texts are equal addresses.
using Mailboxes = std::set<std::string>;

std::string mailbox(const Address& address) {
    return Address{address.local_part, lower_case(address.domain)}.text();
}

/// The recipients that the ready file was written for.
Result<Mailboxes> recipients_of(const Mailroot& mailroot, const os::Fd& fd) {
    auto block = read_block(mailroot.files, fd);
    if (!block) return fail(std::move(block));
    if (!block->has_sender || block->envelope.recipients.empty())
        return fail(Error::Kind::parse, "has no envelope");
    Mailboxes recipients;
    for (const auto& recipient : block->envelope.recipients)
        recipients.insert(mailbox(recipient.address));
    return recipients;
}

/// The recipients that are left of those in a ready file.
std::vector<std::size_t> handed_over_of(const QueuedMessage& message,
                                        const Mailboxes& handed_over) {
    auto left = message.unsettled();
    std::erase_if(left, [&](std::size_t index) {
        return !handed_over.contains(mailbox(message.envelope().recipients[index].address));
    });
    return left;
}

/// Whether a message that another process has in hand owes these recipients nothing more.
Result<bool> is_settled_for(const Mailroot& mailroot, const MessageId& id,
                            const Mailboxes& handed_over) {
    const auto name = message_name(id);
    auto fd = mailroot.files.open(mailroot.queue, name, os::Files::Access::read);
    if (!fd && fd.error().kind == Error::Kind::not_found) return false;
    if (!fd) return fail(std::move(fd));
    auto block = read_block(mailroot.files, *fd);
    if (!block) return fail(std::move(block), mailroot.queue.place(name));
    for (const auto& recipient : block->envelope.recipients) {
        if (!recipient.settled && handed_over.contains(mailbox(recipient.address))) return false;
    }
    // Who marked them may not have come to that yet.
    MAILROOT_TRY(mailroot.files.sync_data(*fd));
    return true;
}

/// The same for a file of Pickup that was not made canonical yet: true where it is no more.
Result<bool> settle_pickup(const Mailroot& mailroot, const MessageId& id) {
    const auto name = pickup_name(id);
    auto there = os::is_there(mailroot.files, mailroot.queue, name);
    if (!there || !*there) return there ? Result<bool>(true) : fail(std::move(there));
    auto file = Queue(mailroot).resume(id);
    if (!file) return fail(std::move(file));
    if (*file) {
        MAILROOT_TRY((*file)->remove());
        return true;
    }
    // Superseded, and removed by that; or another's.
    auto still_there = os::is_there(mailroot.files, mailroot.queue, name);
    if (!still_there) return fail(std::move(still_there));
    return !*still_there;
}

/// Settles in the source what the ready file took over. True where the source has nothing more to
/// do with these recipients; false where another process holds it.
Result<bool> settle_source(const Mailroot& mailroot, const MessageId& id,
                           const Mailboxes& handed_over) {
    // In this order: a file becomes a message, never a message a file.
    auto pickup_gone = settle_pickup(mailroot, id);
    if (!pickup_gone || !*pickup_gone) return pickup_gone;
    const auto waits = os::is_there(mailroot.files, mailroot.queue, message_name(id));
    if (!waits) return tl::unexpected(waits.error());
    if (!*waits) return true;
    auto message = Queue(mailroot).claim(id, TimePoint::max());
    if (!message) return fail(std::move(message));
    if (!*message) return is_settled_for(mailroot, id, handed_over);
    const auto settled = handed_over_of(**message, handed_over);
    const bool done =
        settled.size() == (*message)->unsettled().size() && !owes_success((*message)->history());
    MAILROOT_TRY(done ? (*message)->remove() : (*message)->settle(settled));
    return true;
}

/// The message a ready file came from: in Badmail its name need not be the id.
MessageId source_of(const Mailroot& mailroot, bool bad, const std::string& name,
                    const MessageId& id) {
    if (!bad) return id;
    const auto properties = Badmail(mailroot).look(name);
    return properties ? properties->id : id;
}

/// Gives a ready file its final name; its place then.
Result<std::string> show(const Mailroot& mailroot, const os::Folder& folder,
                         const std::string& name, MessageIdSource& ids) {
    const std::string ready = '.' + name + ".ready";
    const std::string extension = &folder == &mailroot.badmail ? ".bad" : ".eml";
    std::string shown = name + extension;
    auto renamed = mailroot.files.rename(folder, ready, folder, shown);
    if (!renamed && renamed.error().kind == Error::Kind::exists) {
        shown = ids.next().text() + extension;
        renamed = mailroot.files.rename(folder, ready, folder, shown);
    }
    if (!renamed) return fail(std::move(renamed));
    return folder.place(shown);
}

/// Finishes one hand-over. Empty where it is somebody's or gone.
Result<std::string> finish(const Mailroot& mailroot, const os::Folder& folder, bool bad,
                           const std::string& name, MessageIdSource& ids) {
    const std::string file = '.' + name + ".ready";
    const auto id = MessageId::parse(name);
    if (!id) return fail(Error::Kind::parse, folder.place(file) + ": not named by an id");
    const auto fd = lock_abandoned(mailroot, folder, file);
    if (!fd) return std::string();
    auto recipients = recipients_of(mailroot, *fd);
    if (!recipients) return fail(std::move(recipients), folder.place(file));
    auto settled = settle_source(mailroot, source_of(mailroot, bad, name, *id), *recipients);
    if (!settled) return fail(std::move(settled), folder.place(file));
    if (!*settled) return std::string();
    return show(mailroot, folder, name, ids);
}

bool is_old(const Mailroot& mailroot, const os::Folder& folder, const std::string& name,
            TimePoint now) {
    const auto info = mailroot.files.info(folder, name);
    return info && info->changed + k_sweep_age < now;
}

/// Whether something stands only beside a file that is no more: a history beside its message, what
/// describes a bad message beside that.
bool is_orphan(const Mailroot& mailroot, const os::Folder& folder, const std::string& name) {
    const auto there = [&](const std::string& other) {
        return os::is_there(mailroot.files, folder, other).value_or(true);
    };
    const auto stem = name.substr(0, name.rfind('.'));
    if (name.starts_with('.') || !MessageId::parse(stem)) return false;
    if (&folder == &mailroot.queue)
        return name.ends_with(".json") && !there(stem + ".eml") && !there(stem + ".pickup");
    const bool describes = name.ends_with(".bdp") || name.ends_with(".bdr");
    return &folder == &mailroot.badmail && describes && !there(stem + ".bad") &&
           !there('.' + stem + ".ready") && !there('.' + stem + ".tmp");
}

void sweep(const Mailroot& mailroot, const os::Folder& folder, const std::string& name,
           Recovered& recovered) {
    if (!lock_abandoned(mailroot, folder, name)) return;
    auto removed = mailroot.files.unlink(folder, name);
    if (removed) {
        recovered.swept.push_back(folder.place(name));
    } else {
        recovered.errors.push_back(std::move(removed).error());
    }
}

/// Brings one file to its next state, if it needs that.
void recover_file(const Mailroot& mailroot, const os::Folder& folder, const std::string& name,
                  TimePoint now, MessageIdSource& ids, Recovered& recovered) {
    if (const auto ready = ready_name(name); ready && &folder != &mailroot.queue) {
        auto shown = finish(mailroot, folder, &folder == &mailroot.badmail, *ready, ids);
        if (!shown) {
            recovered.errors.push_back(std::move(shown).error());
        } else if (!shown->empty()) {
            recovered.finished.push_back(std::move(*shown));
        }
        return;
    }
    const bool leftover = name.starts_with('.') && name.ends_with(".tmp");
    if ((leftover || is_orphan(mailroot, folder, name)) && is_old(mailroot, folder, name, now))
        sweep(mailroot, folder, name, recovered);
}

/// What a start that was killed left in Pickup, where all else is other people's.
void sweep_probe(const Mailroot& mailroot, const std::string& name, TimePoint now,
                 Recovered& recovered) {
    if (name.starts_with(".probe-") && name.ends_with(".tmp") &&
        is_old(mailroot, mailroot.pickup, name, now))
        sweep(mailroot, mailroot.pickup, name, recovered);
}

}  // namespace

Result<bool> finish_hand_overs(const Mailroot& mailroot, QueuedMessage& message,
                               MessageIdSource& ids) {
    const auto name = message.id().text();
    const auto ready = '.' + name + ".ready";
    for (const auto* folder : {&mailroot.drop, &mailroot.badmail}) {
        auto there = os::is_there(mailroot.files, *folder, ready);
        if (!there) return fail(std::move(there));
        if (!*there) continue;
        const auto fd = lock_abandoned(mailroot, *folder, ready);
        if (!fd) return false;
        auto recipients = recipients_of(mailroot, *fd);
        if (!recipients) return fail(std::move(recipients), folder->place(ready));
        MAILROOT_TRY(message.settle(handed_over_of(message, *recipients)));
        auto shown = show(mailroot, *folder, name, ids);
        if (!shown) return fail(std::move(shown));
    }
    return true;
}

Recovered recover(const Mailroot& mailroot, TimePoint now, MessageIdSource& ids) {
    Recovered recovered;
    for (const auto* folder : {&mailroot.queue, &mailroot.drop, &mailroot.badmail}) {
        auto read = os::for_each_name(mailroot.files, *folder, [&](std::string_view name) {
            recover_file(mailroot, *folder, std::string(name), now, ids, recovered);
        });
        if (!read) recovered.errors.push_back(std::move(read).error());
    }
    auto read = os::for_each_name(mailroot.files, mailroot.pickup, [&](std::string_view name) {
        sweep_probe(mailroot, std::string(name), now, recovered);
    });
    if (!read) recovered.errors.push_back(std::move(read).error());
    return recovered;
}

}  // namespace mailroot::folders
