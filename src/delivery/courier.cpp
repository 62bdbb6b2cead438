#include "delivery/courier.hpp"

#include "delivery/insist.hpp"
#include "delivery/local_domains.hpp"
#include "delivery/outgoing.hpp"
#include "folders/drop.hpp"
#include "folders/recovery.hpp"

#include <algorithm>
#include <random>

namespace mailroot::delivery {

namespace {

Verdict our_verdict(int code, std::string_view enhanced_code, std::string text) {
    return {kind_of(code), reply(code, enhanced_code, std::move(text)), ""};
}

/// The one that all legs go to. What goes to Drop, too, waits for no host.
std::string destination_of(const std::vector<Leg>& legs) {
    const std::string drop = "Drop";
    std::string destination;
    for (const auto& leg : legs) {
        const bool local = leg.route.kind == Route::Kind::local;
        if (!local && leg.route.kind != Route::Kind::remote) continue;
        const auto& name = local ? drop : leg.route.destination;
        if (!destination.empty() && destination != name) return k_several;
        destination = name;
    }
    return destination == drop ? "" : destination;
}

/// RFC 3463 3.5: X.4.6 is a routing loop; only our own hop count is meant here, not a peer's.
message::Fate fate_of(const Verdict& failed) {
    const bool ours = failed.host.empty();
    return ours && failed.reply.enhanced_code == "5.4.6" ? message::Fate::looped
                                                         : message::Fate::failed;
}

}  // namespace

AttemptResult& AttemptResult::operator+=(const AttemptResult& other) {
    delivered += other.delivered;
    deferred += other.deferred;
    failed += other.failed;
    badmail += other.badmail;
    return *this;
}

/// One message under attempt.
struct Courier::Round {
    Round(smtp::Loop& loop, folders::QueuedMessage claimed, bool out_of_turn = false)
        : message(std::move(claimed)),
          called(out_of_turn),
          history(message.history()),
          verdicts(message.envelope().recipients.size()),
          remembered(loop) {}

    folders::QueuedMessage message;
    const bool called;         ///< a host asked for it: it may not have been its turn
    folders::History history;  ///< with what this round adds
    std::vector<std::optional<Verdict>> verdicts;  ///< of this round, by recipient
    std::size_t open_legs = 0;
    std::size_t settling = 0;  ///< legs whose recipients are being marked
    bool remembering = false;  ///< the history is being written
    smtp::Signal remembered;   ///< it no longer is
    bool removed = false;      ///< the file is gone; nothing of it may be touched
    std::vector<std::size_t> given_up;
    std::vector<Notice> notices;
    AttemptResult result;

    [[nodiscard]] const Envelope& envelope() const { return message.envelope(); }

    /// What is remembered of a recipient.
    folders::History::Attempt& known(std::size_t recipient) {
        return history.recipients[envelope().recipients[recipient].address.text()];
    }

    /// Notes an attempt at a recipient.
    void note(std::size_t recipient, const Verdict& verdict, TimePoint now) {
        auto& attempt = known(recipient);
        attempt.when = now;
        attempt.host = verdict.host;
        attempt.reply = verdict.reply.text();
        attempt.tls = verdict.tls.text();
        ++attempt.count;
    }

    /// It was told, or an earlier attempt noted it that did not come to it.
    void forget_success(std::size_t recipient) {
        const auto found = history.recipients.find(envelope().recipients[recipient].address.text());
        if (found != history.recipients.end()) found->second.success_owed = false;
    }

    /// Whether nothing will be left once the verdicts so far are carried out: then the file is
    /// removed instead of marked.
    [[nodiscard]] bool all_delivered() const {
        return open_legs == 0 && settling == 0 && !owes_success(history) &&
               std::ranges::all_of(verdicts, [](const auto& verdict) {
                   return !verdict || verdict->kind == Verdict::Kind::delivered;
               });
    }
};

smtp::Task<AttemptResult> Courier::attempt(folders::QueuedMessage message, AttemptOptions options) {
    const auto& called = options.called;
    Round round(context_.loop, std::move(message), called != nullptr);
    if (!co_await finish_hand_overs(round)) co_return round.result;
    auto legs = co_await plan_legs(router_, round.envelope(),
                                   context_.settings.delivery.recipients_per_message, called.get());
    round.result.destination = destination_of(legs);
    round.result.crowded = !round.result.destination.empty() && options.has_room &&
                           !options.has_room(round.result.destination);
    if (round.result.crowded) co_return round.result;
    round.open_legs = legs.size();
    smtp::TaskGroup running(context_.loop);
    std::vector<Leg> turned;
    for (auto& leg : legs) {
        leg.route.asked_for = called != nullptr || options.asked_for;
        if (leg.route.kind == Route::Kind::turned) {
            turned.push_back(std::move(leg));
        } else {
            running.start(run_leg(round, std::move(leg)));
        }
    }
    if (!turned.empty()) running.start(run_turned_legs(round, std::move(turned), *called));
    co_await running.idle();
    co_return co_await finish(round);
}

smtp::Task<AttemptResult> Courier::conclude(folders::QueuedMessage message,
                                            std::vector<Verdict> verdicts) {
    Round round(context_.loop, std::move(message));
    for (const auto index : round.message.unsettled()) round.verdicts[index] = verdicts[index];
    co_return co_await finish(round);
}

/// What a process that ended had ready of this message goes first.
smtp::Task<bool> Courier::finish_hand_overs(Round& round) {
    auto work = [&] {
        return folders::finish_hand_overs(context_.mailroot, round.message, context_.ids);
    };
    const auto finished = co_await on_disk(context_, work);
    if (!finished) context_.log.set_aside(round.message.id().text(), finished.error());
    co_return finished.value_or(false);
}

smtp::Task<void> Courier::run_leg(Round& round, Leg leg) {
    if (leg.route.kind == Route::Kind::local) {
        co_await deliver_locally(round, leg);
        co_return;
    }
    std::vector<Verdict> verdicts(leg.recipients.size(), leg.route.verdict);
    if (leg.route.kind == Route::Kind::remote) {
        auto open = [this, &round] {
            return std::make_unique<FileMessage>(context_, round.message.reader());
        };
        auto part = outgoing_envelope(leg, round.envelope(), context_.settings);
        verdicts = co_await destinations_.deliver(leg.route, std::move(part), open);
    }
    --round.open_legs;
    co_await record(round, leg, std::move(verdicts));
}

/// One after another: it is one connection.
smtp::Task<void> Courier::run_turned_legs(Round& round, std::vector<Leg> legs,
                                          const Called& called) {
    const auto lost = our_verdict(451, "4.4.2", "the connection that was turned around is gone");
    for (const auto& leg : legs) {
        std::vector<Verdict> verdicts(leg.recipients.size(), lost);
        if (called.connection->usable()) {
            const auto part = outgoing_envelope(leg, round.envelope(), context_.settings);
            FileMessage message(context_, round.message.reader());
            verdicts = co_await called.connection->send(part, message);
        }
        --round.open_legs;
        co_await record(round, leg, std::move(verdicts));
    }
}

smtp::Task<void> Courier::record(Round& round, const Leg& leg, std::vector<Verdict> verdicts) {
    std::vector<std::size_t> delivered;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        const auto index = leg.recipients[i];
        if (verdicts[i].kind == Verdict::Kind::delivered) {
            delivered.push_back(index);
            context_.log.attempted(round.message.id(), round.envelope().recipients[index].address,
                                   verdicts[i], std::nullopt);
            owe_success(round, index, verdicts[i]);
        }
        round.verdicts[index] = std::move(verdicts[i]);
    }
    if (delivered.empty() || round.all_delivered()) co_return;
    if (owes_success(round.history)) co_await remember(round);
    co_await settle(round, delivered);
}

/// Notes in the history that the sender asked to be told, and that nobody else will do it.
void Courier::owe_success(Round& round, std::size_t index, const Verdict& verdict) const {
    const auto& envelope = round.envelope();
    const bool asked = wants_report(envelope.recipients[index], Event::success) &&
                       !envelope.reverse_path.is_null();
    if (!asked) return;
    round.note(index, verdict, context_.clock.now());
    round.known(index).success_owed = !verdict.reported_there;
}

/// Writes the history so far: what is owed, before a mark says that all is done. Legs run side by
/// side, the file is one.
smtp::Task<void> Courier::remember(Round& round) {
    while (round.remembering) co_await round.remembered.wait();
    round.remembering = true;
    auto write = [&message = round.message, history = round.history] {
        return message.remember(history);
    };
    const auto written = co_await on_disk(context_, write);
    round.remembering = false;
    round.remembered.notify();
    // The mark matters more: without it somebody would have the message twice.
    if (!written) context_.log.warning(written.error().what);
}

smtp::Task<void> Courier::settle(Round& round, const std::vector<std::size_t>& recipients) {
    auto mark = [&] { return round.message.settle(recipients); };
    ++round.settling;
    co_await insist(context_, mark);
    --round.settling;
}

smtp::Task<void> Courier::deliver_locally(Round& round, const Leg& leg) {
    auto verdict = co_await drop(round, leg);
    for (const auto index : leg.recipients) {
        if (verdict.kind == Verdict::Kind::delivered) {
            context_.log.attempted(round.message.id(), round.envelope().recipients[index].address,
                                   verdict, std::nullopt);
        }
        round.verdicts[index] = verdict;
    }
}

/// Ready, settle, show. What is owed is remembered before: once it is ready, a crash leaves the
/// rest to the recovery.
smtp::Task<Verdict> Courier::drop(Round& round, const Leg& leg) {
    const folders::Drop folder(context_.mailroot);
    const auto& id = round.message.id();
    const auto dropped = our_verdict(250, "2.0.0", "delivered to Drop");
    for (const auto index : leg.recipients) owe_success(round, index, dropped);
    if (owes_success(round.history)) co_await remember(round);
    auto prepare = [&] {
        const auto reader = round.message.reader();
        return folder.prepare(id, envelope_of(leg, round.envelope()), *reader);
    };
    auto file = co_await on_disk(context_, prepare);
    --round.open_legs;
    if (!file) co_return our_verdict(451, "4.3.0", file.error().what);

    if (round.all_delivered()) {
        co_await remove(round);
    } else {
        co_await settle(round, leg.recipients);
    }
    auto show = [&] { return folder.show(*file, id, context_.ids.next()); };
    auto shown = co_await on_disk(context_, show);
    // What is not shown yet is ready, and the next recovery shows it.
    if (!shown) context_.log.warning(shown.error().what);
    co_return dropped;
}

smtp::Task<AttemptResult> Courier::finish(Round& round) {
    for (std::size_t i = 0; i < round.verdicts.size(); ++i) {
        if (round.verdicts[i]) judge(round, i);
        judge_success(round, i);
    }
    if (!round.given_up.empty() || !round.notices.empty()) co_await tell_sender(round);
    if (round.result.deferred > 0 || owes_success(round.history)) {
        co_await defer(round);
    } else if (!round.removed) {
        co_await remove(round);
    }
    if (round.removed) {
        context_.log.settled(round.message.id());
        context_.moved_on();
    }
    co_return round.result;
}

/// Counts what became of a recipient, and notes what its sender is to be told.
void Courier::judge(Round& round, std::size_t index) const {
    const auto& verdict = *round.verdicts[index];
    if (verdict.kind == Verdict::Kind::delivered) {
        ++round.result.delivered;
        return;
    }
    round.forget_success(index);
    const bool deferred = verdict.kind == Verdict::Kind::deferred;
    if (deferred &&
        !is_expired(policy_of(round, index), round.message.id().arrival(), context_.clock.now())) {
        ++round.result.deferred;
        judge_delay(round, index);
        return;
    }
    round.given_up.push_back(index);
    if (!wants_report(round.envelope().recipients[index], Event::failure)) return;
    round.notices.push_back({index, verdict, deferred ? message::Fate::expired : fate_of(verdict)});
}

/// Of who has the message, by this round or by one that did not come to its end.
void Courier::judge_success(Round& round, std::size_t index) const {
    const auto& recipient = round.envelope().recipients[index];
    const auto found = round.history.recipients.find(recipient.address.text());
    if (!recipient.settled || found == round.history.recipients.end()) return;
    const auto& known = found->second;
    if (!known.success_owed) return;
    const Verdict remembered{Verdict::Kind::delivered, reply(0, "", known.reply), known.host};
    round.notices.push_back(
        {index, round.verdicts[index].value_or(remembered),
         known.host.empty() ? message::Fate::delivered : message::Fate::relayed});
}

/// Once of each recipient, where that was not declined.
void Courier::judge_delay(Round& round, std::size_t index) const {
    const auto& envelope = round.envelope();
    const auto& recipient = envelope.recipients[index];
    const auto arrival = round.message.id().arrival();
    const auto policy = policy_of(round, index);
    const bool due = is_late(policy, arrival, context_.clock.now()) &&
                     wants_report(recipient, Event::delay) && !envelope.reverse_path.is_null();
    if (!due || round.known(index).delay_told) return;
    round.notices.push_back(
        {index, *round.verdicts[index], message::Fate::delayed, arrival + policy.expire});
}

/// Counts the report that is to be written, if one is.
Returner::Limit Courier::take_report(const Round& round) {
    const auto& sender = round.envelope().reverse_path;
    const auto& rate = context_.settings.ndr.rate;
    const bool nothing_to_write = round.notices.empty() || sender.is_null();
    if (nothing_to_write || report_limit_.take(rate, sender, context_.clock.now()))
        return Returner::Limit::kept;
    context_.log.warning(round.message.id().text() + ": not reported to " + sender.text() +
                         ", who was sent " + rate_text(rate) + " already");
    return Returner::Limit::exceeded;
}

smtp::Task<void> Courier::tell_sender(Round& round) {
    const auto& id = round.message.id();
    const auto limit = take_report(round);
    auto write = [&] {
        const auto reader = round.message.reader();
        return Returner(context_).tell(id, round.envelope(), round.notices, *reader, limit);
    };
    auto told = co_await on_disk(context_, write);
    if (!told) {
        // Nobody was told: the recipients stay, and are judged again at the next attempt.
        context_.log.warning(told.error().what);
        round.result.deferred += round.given_up.size();
        co_return;
    }
    round.result.failed = round.given_up.size();
    round.result.badmail = told->badmail ? 1 : 0;
    for (const auto& notice : round.notices) {
        round.forget_success(notice.index);
        if (notice.fate == message::Fate::delayed) round.known(notice.index).delay_told = true;
    }
    if (round.result.deferred == 0) {
        co_await remove(round);
    } else if (!round.given_up.empty()) {
        co_await settle(round, round.given_up);
    }
    auto show = [&]() -> Result<void> {
        if (!told->badmail) return {};
        return folders::Badmail(context_.mailroot).show(*told->badmail, told->badmail_name);
    };
    auto shown = co_await on_disk(context_, show);
    // What is not shown yet is ready, and the next recovery shows it.
    if (!shown) context_.log.warning(shown.error().what);

    for (const auto index : round.given_up) {
        context_.log.attempted(id, round.envelope().recipients[index].address,
                               *round.verdicts[index], std::nullopt);
    }
    if (told->report) {
        context_.log.reported(id, told->report->id, round.envelope().reverse_path);
        if (told->report->in_queue) context_.accepted(told->report->id);
    }
    if (told->badmail) context_.log.badmailed(id, told->badmail_reason);
}

RetryPolicy Courier::policy_of(const Round& round, std::size_t recipient) const {
    const auto& settings = context_.settings;
    const auto& address = round.envelope().recipients[recipient].address;
    return retry_policy(settings.delivery, is_local(settings.domains, address.domain));
}

/// The message has one time for all: the turn that comes first.
TimePoint Courier::next_turn(const Round& round, TimePoint now, int attempts) const {
    const double jitter = std::uniform_real_distribution(-1.0, 1.0)(context_.random);
    const auto unsettled = round.message.unsettled();
    // Only the report is left, which could not be written.
    if (unsettled.empty())
        return next_attempt(retry_policy(context_.settings.delivery, true), now, attempts, jitter);
    auto next = TimePoint::max();
    for (const auto index : unsettled) {
        next = std::min(next, next_attempt(policy_of(round, index), now, attempts, jitter));
    }
    return next;
}

smtp::Task<void> Courier::defer(Round& round) {
    const auto now = context_.clock.now();
    auto& history = round.history;
    // Who asks for mail again and again does not put off its turn.
    const bool keeps_turn = round.called && round.message.next_attempt() > now;
    if (!keeps_turn) ++history.attempts;
    const auto next =
        keeps_turn ? round.message.next_attempt() : next_turn(round, now, history.attempts);
    for (std::size_t i = 0; i < round.verdicts.size(); ++i) {
        const auto& verdict = round.verdicts[i];
        if (!verdict || verdict->kind != Verdict::Kind::deferred) continue;
        round.note(i, *verdict, now);
        context_.log.attempted(round.message.id(), round.envelope().recipients[i].address, *verdict,
                               next);
    }
    auto write = [&] { return round.message.defer(history, next); };
    auto written = co_await on_disk(context_, write);
    if (!written) context_.log.warning(written.error().what);
    round.result.next_attempt = next;
}

/// Nothing of it goes out again: it is removed, or where that cannot be, its marks say so.
smtp::Task<void> Courier::remove(Round& round) {
    auto remove_or_mark = [&]() -> Result<void> {
        auto removed = round.message.remove();
        if (removed) return removed;
        MAILROOT_TRY(round.message.settle(round.message.unsettled()));
        return {};
    };
    co_await insist(context_, remove_or_mark);
    round.removed = true;
}

}  // namespace mailroot::delivery
