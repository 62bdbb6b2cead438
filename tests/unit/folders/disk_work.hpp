#pragma once

#include "core/message_id.hpp"
#include "failing_files.hpp"
#include "folders/badmail.hpp"
#include "folders/drop.hpp"
#include "folders/mailroot.hpp"
#include "folders/pickup.hpp"
#include "folders/queue.hpp"
#include "folders/recovery.hpp"
#include "memory_files.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

/// The work on one message in the steps that `delivery/` makes, on a machine that may lose its
/// power or have its disk fail. What becomes of a recipient stands in the domain: Drop for `here`,
/// another host for `far`, the same but only after the restart for `later`, Badmail for `bad`.
namespace disk_work {

using namespace mailroot;
using namespace mailroot::folders;
using namespace std::chrono_literals;

// Longer than what is read at once, so that it is written in several steps.
inline const std::string k_body = [] {
    std::string text = "Subject: s\r\n\r\n";
    while (text.size() < 66 * 1024) text += "a line of the body, as long as lines are\r\n";
    return text;
}();
inline const std::string k_added = "Received: by x\r\n";
inline const std::string k_no_mail("no mail\0at all\n", 15);

inline const std::filesystem::path k_root = "/mailroot";
inline const std::string k_host = "mx.far [192.0.2.1]";

class DiskClock final : public Clock {
 public:
    explicit DiskClock(const MemoryFiles& disk) : disk_(disk) {}
    [[nodiscard]] TimePoint now() const override { return disk_.now; }

 private:
    const MemoryFiles& disk_;
};

struct Machine {
    MemoryFiles disk;
    FailingFiles files{disk};
    DiskClock clock{disk};
    MessageIdSource ids{clock, 0x5eed};
    std::optional<Mailroot> mailroot;

    std::multiset<std::string> sent;  ///< recipients whom another host took the message for
    std::set<std::string> recorded;   ///< those of whom a cut may not make us forget it
    bool answered = true;             ///< whether we answer for the message
    bool restarted = false;
    bool crash_when_ready = false;

    Machine() { start(IfMissing::create); }

    void start(IfMissing if_missing = IfMissing::refuse) {
        mailroot.emplace(Mailroot::open(files, k_root, if_missing).value());
    }
    void record(const std::string& recipient) {
        if (!restarted) recorded.insert(recipient);
    }
    /// What was done to the queue is durable.
    Result<void> sync_queue() {
        MAILROOT_TRY(files.sync(mailroot->queue));
        for (const auto& recipient : sent) record(recipient);
        return {};
    }
    /// Much later: old enough for the sweep.
    void restart() {
        start();
        restarted = true;
        disk.now += 1h;
    }
    void hand_over_is_ready() {
        if (crash_when_ready) disk.cut_after = disk.changes.size();
    }
    [[nodiscard]] std::set<std::string> names(const std::string& folder) const {
        return disk.names(k_root / folder);
    }
    [[nodiscard]] std::string octets(const std::string& folder, const std::string& name) const {
        return disk.octets(k_root / folder / name);
    }
    void write(const std::string& folder, const std::string& name, const std::string& octets) {
        disk.write(k_root / folder / name, octets);
    }
};

inline std::string domain_of(const Recipient& recipient) {
    return recipient.address.domain;
}

inline Envelope envelope_for(const std::vector<std::string>& recipients) {
    Envelope envelope;
    envelope.reverse_path = {"s", "a.example"};
    for (const auto& name : recipients)
        envelope.recipients.push_back({parse_address(name).value(), "", "", false});
    return envelope;
}

/// Recipients who go the same way, by index.
using Leg = std::vector<std::size_t>;

inline std::vector<Leg> legs_of(const Envelope& envelope) {
    std::vector<Leg> legs;
    for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
        if (envelope.recipients[i].settled) continue;
        const auto same_way = [&](const Leg& leg) {
            return domain_of(envelope.recipients[leg[0]]) == domain_of(envelope.recipients[i]);
        };
        auto leg = std::ranges::find_if(legs, same_way);
        if (leg == legs.end()) leg = legs.insert(legs.end(), Leg());
        leg->push_back(i);
    }
    return legs;
}

inline Envelope envelope_of(const Leg& leg, const Envelope& all) {
    Envelope envelope = all;
    envelope.recipients.clear();
    for (const auto index : leg) envelope.recipients.push_back(all.recipients[index]);
    return envelope;
}

inline BadmailProperties properties_of(Machine& machine, const MessageId& id, BadmailReason reason,
                                       const Envelope& envelope) {
    BadmailProperties properties;
    properties.id = id;
    properties.reason = name_of(reason);
    properties.when = machine.clock.now();
    for (const auto& recipient : envelope.recipients) {
        properties.recipients.push_back(recipient.address.text());
        properties.failures.push_back({recipient.address.text(), k_host, "550 no such user"});
    }
    return properties;
}

/// What is done to the source once a leg has arrived.
using Settle = std::function<Result<void>()>;

inline Result<void> drop(Machine& machine, const MessageId& id, const Envelope& envelope,
                         std::unique_ptr<MessageReader> reader, const Settle& settle) {
    const Drop folder(*machine.mailroot);
    auto file = folder.prepare(id, envelope, *reader);
    if (!file) return fail(std::move(file));
    machine.hand_over_is_ready();
    MAILROOT_TRY(settle());
    return folder.show(*file, id, machine.ids.next());
}

inline Result<void> to_badmail(Machine& machine, const MessageId& id, const Envelope& envelope,
                               std::unique_ptr<MessageReader> reader, const Settle& settle) {
    const Badmail folder(*machine.mailroot);
    const auto name = folder.free_name(id, machine.ids.next());
    auto file = folder.prepare(name, envelope, *reader,
                               properties_of(machine, id, BadmailReason::ndr_of_dsn, envelope));
    if (!file) return fail(std::move(file));
    machine.hand_over_is_ready();
    MAILROOT_TRY(settle());
    return folder.show(*file, name);
}

inline Result<void> send(Machine& machine, const Envelope& envelope, const Settle& settle) {
    for (const auto& recipient : envelope.recipients) machine.sent.insert(recipient.address.text());
    return settle();
}

/// Takes one leg of a message where it goes.
inline Result<void> run_leg(Machine& machine, QueuedMessage& message, const Leg& leg, bool last) {
    const auto settle = [&] { return last ? message.remove() : message.settle(leg); };
    const auto envelope = envelope_of(leg, message.envelope());
    const auto domain = domain_of(envelope.recipients.front());
    if (domain == "here") return drop(machine, message.id(), envelope, message.reader(), settle);
    if (domain == "bad")
        return to_badmail(machine, message.id(), envelope, message.reader(), settle);
    MAILROOT_TRY(send(machine, envelope, settle));
    // A removal is made durable with others, within a second.
    for (const auto& recipient : envelope.recipients)
        if (!last) machine.record(recipient.address.text());
    return {};
}

inline Result<void> defer(Machine& machine, QueuedMessage& message) {
    auto history = message.history();
    ++history.attempts;
    for (const auto index : message.unsettled()) {
        auto& attempt = history.recipients[message.envelope().recipients[index].address.text()];
        attempt = {machine.clock.now(), k_host, "451 later", attempt.count + 1};
    }
    return message.defer(history, machine.clock.now() + 15min);
}

/// One attempt at a message of Queue.
inline Result<void> attempt(Machine& machine, QueuedMessage message) {
    auto legs = legs_of(message.envelope());
    const auto too_early = [&](const Leg& leg) {
        return domain_of(message.envelope().recipients[leg[0]]) == "later" && !machine.restarted;
    };
    const bool deferred = std::erase_if(legs, too_early) > 0;
    for (const auto& leg : legs)
        MAILROOT_TRY(run_leg(machine, message, leg, !deferred && &leg == &legs.back()));
    if (deferred) return defer(machine, message);
    if (legs.empty()) MAILROOT_TRY(message.remove());
    return machine.sync_queue();
}

inline Result<void> attempt(Machine& machine, const MessageId& id) {
    auto message = Queue(*machine.mailroot).claim(id, TimePoint::max());
    if (!message) return fail(std::move(message));
    if (!*message) return fail(Error::Kind::busy, id.text() + ": not to be had");
    return attempt(machine, std::move(**message));
}

/// Makes a message of Queue of a file from Pickup.
inline Result<void> make_canonical(Machine& machine, TakenPickup& file,
                                   const message::PickupMessage& message) {
    auto canonical = Queue(*machine.mailroot).begin(file.id(), message.envelope);
    if (!canonical) return fail(std::move(canonical));
    MAILROOT_TRY(copy_all(*file.reader(message, k_added), *canonical));
    MAILROOT_TRY(canonical->commit());
    // It is superseded even where it cannot be removed.
    (void)file.remove();
    return {};
}

/// What could not be done with a file goes back, unless a hand-over of it is ready.
inline Result<void> or_put_back(Result<void> done, TakenPickup& file, const std::string& name) {
    if (!done && done.error().kind != Error::Kind::exists) (void)file.put_back(name);
    return done;
}

inline Result<void> reject(Machine& machine, TakenPickup& file) {
    const auto properties =
        properties_of(machine, file.id(), BadmailReason::bad_pickup_file, Envelope());
    return Badmail(*machine.mailroot).take(file, properties);
}

inline Result<void> send_straight(Machine& machine, TakenPickup& file, const Envelope& envelope) {
    MAILROOT_TRY(send(machine, envelope, [&] { return file.remove(); }));
    return machine.sync_queue();
}

inline Result<void> by_way_of_queue(Machine& machine, TakenPickup& file, const std::string& name,
                                    const message::PickupMessage& message) {
    auto queued = make_canonical(machine, file, message);
    if (!queued) {
        (void)file.put_back(name);
        return queued;
    }
    return attempt(machine, file.id());
}

/// What is done with a file from Pickup: refused, straight on, or by way of Queue.
inline Result<void> work_on(Machine& machine, TakenPickup file, const std::string& name) {
    auto message = file.scan({});
    if (!message && message.error().kind == Error::Kind::parse)
        return or_put_back(reject(machine, file), file, name);
    if (!message) {
        auto unread = fail(std::move(message), "Queue/" + pickup_name(file.id()));
        return or_put_back(unread, file, name);
    }
    const auto& envelope = message->envelope;
    const auto domain = domain_of(envelope.recipients.front());
    if (file.crashes() > 0 || legs_of(envelope).size() > 1 || domain == "later" || domain == "bad")
        return by_way_of_queue(machine, file, name, *message);
    if (domain == "far") return send_straight(machine, file, envelope);
    bool settled = false;
    const auto remove = [&] {
        settled = true;
        return file.remove();
    };
    auto dropped = drop(machine, file.id(), envelope, file.reader(*message, k_added), remove);
    return settled ? dropped : or_put_back(dropped, file, name);
}

inline Result<void> pick_up(Machine& machine, const std::string& name) {
    auto taken = Pickup(*machine.mailroot).take(name, {true, std::nullopt}, machine.ids.next());
    if (taken.outcome == Pickup::Attempt::Outcome::unusable)
        return tl::unexpected(std::move(taken.reason));
    if (!taken.file) return fail(Error::Kind::busy, "Pickup/" + name + ": not to be had");
    return work_on(machine, std::move(*taken.file), name);
}

/// A message that comes over SMTP.
inline Result<void> take_in(Machine& machine, const os::Folder& folder, const Envelope& envelope) {
    const auto id = machine.ids.next();
    auto file = &folder == &machine.mailroot->drop ? Drop(*machine.mailroot).begin(id, envelope)
                                                   : Queue(*machine.mailroot).begin(id, envelope);
    if (!file) return fail(std::move(file));
    MAILROOT_TRY(file->append(k_added));
    MAILROOT_TRY(file->append(k_body));
    MAILROOT_TRY(file->commit());
    machine.answered = true;
    return {};
}

/// What a process left in Queue, files of Pickup first.
inline Result<void> resume_queue(Machine& machine) {
    const Queue queue(*machine.mailroot);
    const auto find = [&]() -> Result<Queue::Portion> {
        auto scan = queue.scan();
        if (!scan) return fail(std::move(scan));
        return scan->next();
    };
    auto left = find();
    if (!left) return fail(std::move(left));
    for (const auto& entry : left->entries) {
        if (!entry.pickup) continue;
        auto file = queue.resume(entry.id);
        if (!file) return fail(std::move(file));
        if (*file) MAILROOT_TRY(work_on(machine, std::move(**file), ""));
    }
    left = find();
    if (!left) return fail(std::move(left));
    for (const auto& entry : left->entries)
        if (!entry.pickup) MAILROOT_TRY(attempt(machine, entry.id));
    return {};
}

/// The first of what could not be recovered.
inline Result<void> recover_all(Machine& machine) {
    auto recovered = recover(*machine.mailroot, machine.clock.now(), machine.ids);
    if (recovered.errors.empty()) return {};
    return tl::unexpected(std::move(recovered.errors.front()));
}

/// All the work there is, as `serve` does it after its start.
inline Result<void> resume(Machine& machine) {
    for (const auto& name : machine.names("Pickup")) (void)pick_up(machine, name);
    return resume_queue(machine);
}

}  // namespace disk_work
