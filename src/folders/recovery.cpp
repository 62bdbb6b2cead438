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
    Mailboxes recipients;
    for (const auto& recipient : block->envelope.recipients)
        recipients.insert(mailbox(recipient.address));
    return recipients;
}

/// Settles in the source what the ready file took over. True where the source has nothing more to
/// do with these recipients; false where another process holds it.
Result<bool> settle_source(const Mailroot& mailroot, const MessageId& id,
                           const Mailboxes& handed_over) {
    const Queue queue(mailroot);
    if (mailroot.files.info(mailroot.queue, message_name(id))) {
        auto message = queue.claim(id, TimePoint::max());
        if (!message) return fail(std::move(message));
        if (!*message) return false;
        std::vector<std::size_t> settled;
        auto left = (*message)->unsettled();
        for (const auto index : left) {
            if (handed_over.contains(mailbox((*message)->envelope().recipients[index].address)))
                settled.push_back(index);
        }
        MAILROOT_TRY(settled.size() == left.size() ? (*message)->remove()
                                                   : (*message)->settle(settled));
        return true;
    }
    if (!mailroot.files.info(mailroot.queue, pickup_name(id))) return true;
    // Only a pickup file that was all local is handed over without a message of its own.
    auto file = queue.resume(id);
    if (!file) return fail(std::move(file));
    if (!*file) return false;
    MAILROOT_TRY((*file)->remove());
    return true;
}

/// The message a ready file came from: in Badmail its name need not be the id.
MessageId source_of(const Mailroot& mailroot, bool bad, const std::string& name,
                    const MessageId& id) {
    if (!bad) return id;
    const auto properties = Badmail(mailroot).look(name);
    return properties ? properties->id : id;
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

    const std::string extension = bad ? ".bad" : ".eml";
    std::string shown = name + extension;
    auto renamed = mailroot.files.rename(folder, file, folder, shown);
    if (!renamed && renamed.error().kind == Error::Kind::exists) {
        shown = ids.next().text() + extension;
        renamed = mailroot.files.rename(folder, file, folder, shown);
    }
    if (!renamed) return fail(std::move(renamed));
    return folder.place(shown);
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
        return mailroot.files.info(folder, other).has_value();
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
        if (!shown) recovered.errors.push_back(std::move(shown).error());
        if (shown && !shown->empty()) recovered.finished.push_back(*shown);
        return;
    }
    const bool leftover = name.starts_with('.') && name.ends_with(".tmp");
    if ((leftover || is_orphan(mailroot, folder, name)) && is_old(mailroot, folder, name, now))
        sweep(mailroot, folder, name, recovered);
}

}  // namespace

Recovered recover(const Mailroot& mailroot, TimePoint now, MessageIdSource& ids) {
    Recovered recovered;
    for (const auto* folder : {&mailroot.queue, &mailroot.drop, &mailroot.badmail}) {
        auto read = os::for_each_name(mailroot.files, *folder, [&](std::string_view name) {
            recover_file(mailroot, *folder, std::string(name), now, ids, recovered);
        });
        if (!read) recovered.errors.push_back(std::move(read).error());
    }
    return recovered;
}

}  // namespace mailroot::folders
