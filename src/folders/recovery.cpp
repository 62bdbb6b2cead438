#include "folders/recovery.hpp"

#include "folders/badmail.hpp"
#include "folders/queue.hpp"
#include "message/envelope_block.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
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

std::vector<std::string> names(const Mailroot& mailroot, const os::Folder& folder,
                               Recovered& recovered) {
    std::vector<std::string> found;
    auto listed = mailroot.files.list(folder, [&](std::string_view name) {
        if (name.starts_with('.') || name.ends_with(".json")) found.emplace_back(name);
        return true;
    });
    if (!listed) recovered.errors.push_back(std::move(listed).error());
    return found;
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

/// The recipients that the ready file was written for.
Result<std::vector<Recipient>> recipients_of(const Mailroot& mailroot, const os::Fd& fd) {
    auto block = read_block(mailroot.files, fd);
    if (!block) return fail(std::move(block));
    return std::move(block->envelope.recipients);
}

bool holds(const std::vector<Recipient>& recipients, const Address& address) {
    return std::ranges::any_of(
        recipients, [&](const Recipient& recipient) { return recipient.address == address; });
}

/// Settles in the source what the ready file took over. True where the source has nothing more to
/// do with these recipients; false where another process holds it.
Result<bool> settle_source(const Mailroot& mailroot, const MessageId& id,
                           const std::vector<Recipient>& handed_over) {
    const Queue queue(mailroot);
    if (mailroot.files.info(mailroot.queue, message_name(id))) {
        auto message = queue.claim(id, held_from() - 1s);
        if (!message) return fail(std::move(message));
        if (!*message) return false;
        std::vector<std::size_t> settled;
        auto left = (*message)->unsettled();
        for (const auto index : left) {
            if (holds(handed_over, (*message)->envelope().recipients[index].address))
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

/// Whether a history has lost its message.
bool is_orphan(const Mailroot& mailroot, const std::string& name) {
    const auto id = MessageId::parse(std::string_view(name).substr(0, name.size() - 5));
    return id && !mailroot.files.info(mailroot.queue, message_name(*id)) &&
           !mailroot.files.info(mailroot.queue, pickup_name(*id));
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

}  // namespace

Recovered recover(const Mailroot& mailroot, TimePoint now, MessageIdSource& ids) {
    Recovered recovered;
    for (const auto* folder : {&mailroot.queue, &mailroot.drop, &mailroot.badmail}) {
        const bool bad = folder == &mailroot.badmail;
        for (const auto& name : names(mailroot, *folder, recovered)) {
            if (const auto ready = ready_name(name); ready && folder != &mailroot.queue) {
                const auto shown = finish(mailroot, *folder, bad, *ready, ids);
                if (!shown) recovered.errors.push_back(shown.error());
                if (shown && !shown->empty()) recovered.finished.push_back(*shown);
                continue;
            }
            const bool leftover = name.starts_with('.') && name.ends_with(".tmp");
            const bool orphan =
                folder == &mailroot.queue && name.ends_with(".json") && is_orphan(mailroot, name);
            if ((leftover || orphan) && is_old(mailroot, *folder, name, now))
                sweep(mailroot, *folder, name, recovered);
        }
    }
    return recovered;
}

}  // namespace mailroot::folders
