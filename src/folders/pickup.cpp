#include "folders/pickup.hpp"

#include "core/first_of.hpp"

#include <functional>
#include <string>

namespace mailroot::folders {

namespace {

using Outcome = Pickup::Attempt::Outcome;

Pickup::Attempt unusable(Error reason) {
    return {Outcome::unusable, std::nullopt, {}, std::move(reason)};
}

/// Why a file can never be mail, whatever its writer does next.
std::optional<Error> reason_against_kind(const os::FileInfo& info) {
    if (info.kind != os::FileInfo::Kind::regular)
        return Error{Error::Kind::parse, "not a plain file"};
    if (info.links != 1)
        return Error{Error::Kind::parse,
                     "has " + std::to_string(info.links) + " names (hard links)"};
    return std::nullopt;
}

}  // namespace

bool Pickup::is_candidate(std::string_view name) const {
    return !name.starts_with('.') && !name.ends_with(".tmp") && !name.ends_with(".part") &&
           !name.ends_with('~') && (place_ == Place::pickup || !Queue::is_own(name));
}

Result<void> Pickup::scan(const std::function<void(Entry)>& entry) const {
    return os::for_each_name(mailroot_.files, folder_, [&](std::string_view name) {
        if (!is_candidate(name)) return;
        const auto info = mailroot_.files.info(folder_, name);
        if (info) entry({std::string(name), info->changed});
    });
}

Result<std::vector<Pickup::Entry>> Pickup::first_after(const std::optional<Entry>& last,
                                                       std::size_t most) const {
    FirstOf<Entry, std::less<>> first(most, {});
    MAILROOT_TRY(scan([&](Entry entry) {
        if (!last || *last < entry) first.add(std::move(entry));
    }));
    return first.take();
}

std::optional<Error> Pickup::reason_against(std::string_view name) const {
    const auto info = mailroot_.files.info(folder_, name);
    if (!info) return std::nullopt;  // gone: no matter
    if (auto reason = reason_against_kind(*info)) return std::move(*reason).in(folder_.place(name));
    auto fd = mailroot_.files.open(folder_, name, os::Files::Access::read);
    if (fd || fd.error().kind == Error::Kind::not_found) return std::nullopt;
    return std::move(fd).error();
}

Pickup::Attempt Pickup::take(std::string_view name, const Evidence& evidence,
                             const MessageId& id) const {
    auto& files = mailroot_.files;
    const auto place = folder_.place(name);
    const auto named = files.info(folder_, name);
    if (!named) return {Outcome::gone, std::nullopt, {}};
    // Before it is opened: opening a device or a FIFO may do something.
    if (auto reason = reason_against_kind(*named)) return unusable(std::move(*reason).in(place));

    // A lock on an empty file would break a .NET writer between its open and its own lock.
    if (named->size == 0) return {Outcome::growing, std::nullopt, *named};

    auto fd = files.open(folder_, name, os::Files::Access::read);
    if (!fd && fd.error().kind == Error::Kind::not_found) return {Outcome::gone, std::nullopt, {}};
    if (!fd) return unusable(std::move(fd).error());
    const auto locked = files.lock(*fd);
    if (!locked) return unusable(Error(locked.error()).in(place));
    if (!*locked) return {Outcome::growing, std::nullopt, *named};

    // Behind the lock all is looked at anew: another may have taken the file, its writer may have
    // put a new one under its name.
    const auto held = files.info(*fd);
    if (!held) return unusable(Error(held.error()).in(place));
    const auto still_named = files.info(folder_, name);
    if (!still_named || !still_named->same_file(*held)) return {Outcome::gone, std::nullopt, {}};
    const bool settled = evidence.settled && held->unchanged_since(*evidence.settled) &&
                         held->changed == evidence.settled->changed;
    // Where the system tells that somebody has it open for writing, a pause is not yet the end; but
    // who keeps it open and writes nothing more is no reason to wait for ever.
    const auto writers = files.writers(*fd);
    const bool is_whole = writers == os::Writers::none ||
                          (writers == os::Writers::some ? settled && evidence.long_settled
                                                        : settled || evidence.closed);
    if (!is_whole) return {Outcome::growing, std::nullopt, *held};
    auto renamed = files.rename(folder_, name, mailroot_.queue, pickup_name(id));
    if (!renamed && renamed.error().kind == Error::Kind::not_found)
        return {Outcome::gone, std::nullopt, {}};
    if (!renamed) return unusable(std::move(renamed).error());
    const auto taken = files.info(mailroot_.queue, pickup_name(id));
    if (!taken || !taken->same_file(*held)) {
        // A new file came in between; it is not the one that is locked.
        (void)files.rename(mailroot_.queue, pickup_name(id), folder_, name);
        return {Outcome::gone, std::nullopt, {}};
    }
    return {Outcome::taken, TakenPickup(mailroot_, id, std::move(*fd), 0), *held};
}

}  // namespace mailroot::folders
