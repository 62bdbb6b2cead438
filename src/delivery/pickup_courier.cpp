#include "delivery/pickup_courier.hpp"

#include "delivery/insist.hpp"
#include "delivery/outgoing.hpp"
#include "folders/drop.hpp"
#include "message/received.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

// A file that nobody lives to read through is the likely cause.
constexpr int k_most_crashes = 3;

PickupResult of_queue(const AttemptResult& result) {
    PickupResult wrapped;
    static_cast<AttemptResult&>(wrapped) = result;
    return wrapped;
}

}  // namespace

/// A file in hand.
struct PickupCourier::Taken {
    folders::TakenPickup file;
    std::string name;
    message::PickupMessage message;
    std::string added;  ///< header fields of ours

    /// How it is named to people.
    [[nodiscard]] std::string place() const {
        return name.empty() ? folders::pickup_name(file.id()) : name;
    }
};

smtp::Task<PickupResult> PickupCourier::attempt(folders::TakenPickup file, std::string name) {
    Taken taken{std::move(file), std::move(name), {}, {}};
    if (taken.file.crashes() >= k_most_crashes) {
        co_return co_await reject(taken, folders::BadmailReason::general_failure,
                                  "the service ended three times while it worked on this file");
    }
    auto scan = [&] { return taken.file.scan(rules()); };
    auto message = co_await on_disk(context_, scan);
    if (!message && message.error().kind == Error::Kind::parse) {
        co_return co_await reject(taken, folders::BadmailReason::bad_pickup_file,
                                  message.error().what);
    }
    if (!message) co_return co_await put_back(taken, message.error());
    taken.message = std::move(*message);
    taken.added = added_fields(taken);
    context_.log.picked_up(taken.file.id(), taken.place(), taken.message.envelope,
                           taken.message.unstuff ? "unstuff" : "raw");
    co_return co_await send(taken);
}

message::PickupRules PickupCourier::rules() const {
    const auto& settings = context_.settings;
    const auto dots = settings.pickup.dots == "raw"       ? message::Dots::raw
                      : settings.pickup.dots == "unstuff" ? message::Dots::unstuff
                                                          : message::Dots::automatic;
    return {dots, settings.pickup.keep_bcc, settings.limits.message_size,
            settings.domains.default_domain};
}

std::string PickupCourier::added_fields(const Taken& taken) const {
    const auto& host = context_.settings.hostname;
    const auto& id = taken.file.id();
    const auto now = context_.clock.now();
    std::string fields = message::received_from_pickup(host, id, now);
    if (!taken.message.has_message_id) fields += message::message_id_field(id, host);
    if (!taken.message.has_date) fields += message::date_field(now);
    return fields;
}

smtp::Task<PickupResult> PickupCourier::send(Taken& taken) {
    const auto recipients = taken.message.envelope.recipients.size();
    if (static_cast<std::uint64_t>(taken.message.received_fields) >
        context_.settings.delivery.hops) {
        const Verdict verdict{Verdict::Kind::failed,
                              reply(554, "5.4.6", "too many hops: this may be a mail loop"), ""};
        co_return co_await queue_up(taken, {recipients, verdict});
    }
    // A process ended while it had this file: made canonical it is a message like any other. Where
    // a success is to be reported, that has to be remembered.
    if (taken.file.crashes() > 0 || wants_success_report(taken.message.envelope))
        co_return co_await queue_up(taken, {});
    const auto legs = co_await plan_legs(courier_.router(), taken.message.envelope,
                                         context_.settings.delivery.recipients_per_message);
    if (legs.size() != 1) co_return co_await queue_up(taken, {});
    const auto& leg = legs.front();
    switch (leg.route.kind) {
        case Route::Kind::local:
            co_return co_await drop_straight(taken);
        case Route::Kind::remote:
            co_return co_await send_straight(taken, leg);
        default:
            co_return co_await queue_up(taken, {recipients, leg.route.verdict});
    }
}

smtp::Task<PickupResult> PickupCourier::send_straight(Taken& taken, const Leg& leg) {
    auto open = [this, &taken] {
        return std::make_unique<FileMessage>(context_,
                                             taken.file.reader(taken.message, taken.added));
    };
    auto part = outgoing_envelope(leg, taken.message.envelope, context_.settings);
    auto decided =
        co_await courier_.destinations().deliver_soon(leg.route, std::move(part), open, patience_);
    if (!decided) co_return co_await let_wait(taken);
    auto& verdicts = *decided;
    const auto delivered = note_delivered(taken, leg, verdicts);
    PickupResult result;
    if (delivered == verdicts.size()) {
        auto unlink = [&] { return taken.file.remove(); };
        co_await insist(context_, unlink);
        context_.log.settled(taken.file.id());
        context_.moved_on();
    } else {
        // One verdict for each recipient of the file: those settled before it was taken have no
        // part in the leg.
        std::vector<Verdict> of_all(taken.message.envelope.recipients.size());
        for (std::size_t i = 0; i < verdicts.size(); ++i)
            of_all[leg.recipients[i]] = std::move(verdicts[i]);
        result = co_await queue_up(taken, std::move(of_all));
    }
    result.delivered += delivered;
    co_return result;
}

/// Settles in the envelope, and logs, what was delivered; gives how many.
std::uint64_t PickupCourier::note_delivered(Taken& taken, const Leg& leg,
                                            const std::vector<Verdict>& verdicts) const {
    std::uint64_t delivered = 0;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        if (verdicts[i].kind != Verdict::Kind::delivered) continue;
        auto& recipient = taken.message.envelope.recipients[leg.recipients[i]];
        recipient.settled = true;
        context_.log.attempted(taken.file.id(), recipient.address, verdicts[i], std::nullopt);
        ++delivered;
    }
    return delivered;
}

smtp::Task<PickupResult> PickupCourier::drop_straight(Taken& taken) {
    const folders::Drop folder(context_.mailroot);
    const auto& id = taken.file.id();
    auto prepare = [&] {
        const auto reader = taken.file.reader(taken.message, taken.added);
        return folder.prepare(id, taken.message.envelope, *reader);
    };
    auto file = co_await on_disk(context_, prepare);
    if (!file && file.error().kind == Error::Kind::exists) co_return leave(taken, file.error());
    if (!file) co_return co_await put_back(taken, file.error());
    auto unlink = [&] { return taken.file.remove(); };
    co_await insist(context_, unlink);
    auto show = [&] { return folder.show(*file, id, context_.ids.next()); };
    auto shown = co_await on_disk(context_, show);
    // What is not shown yet is ready, and the next recovery shows it.
    if (!shown) context_.log.warning(shown.error().what);
    const Verdict verdict{Verdict::Kind::delivered, reply(250, "2.0.0", "delivered to Drop"), ""};
    PickupResult result;
    for (const auto& recipient : taken.message.envelope.recipients) {
        if (recipient.settled) continue;
        context_.log.attempted(id, recipient.address, verdict, std::nullopt);
        ++result.delivered;
    }
    context_.log.settled(id);
    context_.moved_on();
    co_return result;
}

/// Writes the message of a file to Queue, under the same id, in place of the file. Its lock is gone
/// when this returns.
Result<void> PickupCourier::make_canonical(Taken& taken) const {
    auto file = folders::Queue(context_.mailroot).begin(taken.file.id(), taken.message.envelope);
    if (!file) return fail(std::move(file));
    const auto reader = taken.file.reader(taken.message, taken.added);
    MAILROOT_TRY(folders::copy_all(*reader, *file));
    MAILROOT_TRY(file->commit());
    // While the message is locked: delivered by another process, it would leave the file behind, to
    // be sent again. What cannot be removed goes with the message.
    (void)taken.file.remove();
    return {};
}

/// Its host is slow: in Queue it takes no place while it waits.
smtp::Task<PickupResult> PickupCourier::let_wait(Taken& taken) {
    auto write = [&] { return make_canonical(taken); };
    auto written = co_await on_disk(context_, write);
    if (!written) co_return co_await put_back(taken, written.error());
    PickupResult result;
    result.next_attempt = context_.clock.now();
    co_return result;
}

smtp::Task<PickupResult> PickupCourier::queue_up(Taken& taken, std::vector<Verdict> verdicts) {
    auto write = [&] { return make_canonical(taken); };
    auto written = co_await on_disk(context_, write);
    const bool any_delivered =
        std::ranges::any_of(taken.message.envelope.recipients, &Recipient::settled);
    if (!written && !any_delivered) co_return co_await put_back(taken, written.error());
    // Some have the message, and only this process knows who: it must not go back.
    if (!written) co_await insist(context_, write);
    auto claim = [&] {
        return folders::Queue(context_.mailroot).claim(taken.file.id(), TimePoint::max());
    };
    auto message = co_await on_disk(context_, claim);
    if (!message) context_.log.warning(message.error().what);
    PickupResult result;
    if (!message || !*message)
        co_return result;  // another process was quicker, or the next rescan will be
    if (verdicts.empty()) co_return of_queue(co_await courier_.attempt(std::move(**message)));
    co_return of_queue(co_await courier_.conclude(std::move(**message), std::move(verdicts)));
}

smtp::Task<PickupResult> PickupCourier::reject(Taken& taken, folders::BadmailReason reason,
                                               std::string explanation) {
    folders::BadmailProperties properties;
    properties.id = taken.file.id();
    properties.reason = name_of(reason);
    properties.explanation = std::move(explanation);
    properties.file = taken.name;
    properties.when = context_.clock.now();
    auto move = [&] { return folders::Badmail(context_.mailroot).take(taken.file, properties); };
    auto moved = co_await on_disk(context_, move);
    if (!moved) co_return co_await put_back(taken, moved.error());
    context_.log.badmailed(taken.file.id(), properties.reason + ": " + properties.explanation);
    PickupResult result;
    result.badmail = 1;
    co_return result;
}

/// A hand-over of an earlier process is ready and not finished: recover() finishes it, this file
/// with it.
PickupResult PickupCourier::leave(const Taken& taken, const Error& reason) const {
    context_.log.set_aside(taken.file.id().text(), reason);
    PickupResult result;
    result.deferred = 1;
    return result;
}

smtp::Task<PickupResult> PickupCourier::put_back(Taken& taken, const Error& reason) {
    complaints_.say(taken.place(), reason);
    // Left half taken it would pass for what a crash left.
    auto move = [&] { return taken.file.put_back(taken.name); };
    co_await insist(context_, move);
    PickupResult result;
    result.deferred = 1;
    result.put_back = reason;
    co_return result;
}

}  // namespace mailroot::delivery
