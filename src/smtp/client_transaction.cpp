#include "smtp/client_transaction.hpp"

#include "message/idn.hpp"
#include "message/utf8.hpp"
#include "message/xtext.hpp"

#include <algorithm>
#include <utility>

namespace mailroot::smtp {

namespace {

// What goes out with MAIL and RCPT before anybody was accepted: no more than is lost lightly.
constexpr std::uint64_t k_one_flight = 64 * 1024;

/// An address for a host that knows ASCII alone: its domain has A-labels (RFC 5891).
std::string ascii_text(const Address& address) {
    const auto domain = message::ascii_domain(address.domain);
    return Address{address.local_part, domain.value_or(address.domain)}.text();
}

/// RFC 5321 4.2.4
bool is_unknown_command(int code) {
    return code == 500 || code == 502 || code == 504;
}

/// RFC 5321 4.1.2 esmtp-value, with what RFC 6531 3.3 adds. Anything else would end the parameter,
/// if not the line.
bool is_parameter_value(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return c > ' ' && c != 0x7f && c != '=';
    });
}

std::string parameter(std::string_view keyword, std::string_view value) {
    if (!is_parameter_value(value) || !message::is_ascii(value)) return {};
    std::string text(" ");
    text += keyword;
    text += '=';
    return text += value;
}

}  // namespace

ClientTransaction::ClientTransaction(const Envelope& envelope, const Extensions& offered,
                                     std::uint64_t octets, std::string host, Host footing)
    : envelope_(envelope),
      offered_(offered),
      octets_(octets),
      host_(std::move(host)),
      footing_(footing),
      verdicts_(envelope.recipients.size()) {}

std::string_view ClientTransaction::name_of(Command command) {
    switch (command) {
        case Command::mail:
            return "MAIL FROM";
        case Command::rcpt:
            return "RCPT TO";
        case Command::data:
            return "DATA";
        case Command::message:
        case Command::empty_message:
            return "the final dot";
        case Command::chunk:
            return "BDAT";
        case Command::clear:
        case Command::confirm:
        case Command::rset:
            return "RSET";
    }
    return {};
}

bool ClientTransaction::can_be_followed() const {
    return message_sent_ && awaits_message();
}

ClientTransaction::Step ClientTransaction::next() {
    if (!awaited_.empty()) {
        message_sent_ = awaits_message();
        return read();
    }
    if (!mail_said_) refuse_what_cannot_be_sent();
    return flight();
}

void ClientTransaction::refuse_what_cannot_be_sent() {
    // RFC 1870 6.1: what is over the limit that the server names need not be tried.
    if (offered_.size && offered_.size_limit > 0 && octets_ > offered_.size_limit) {
        const auto words = "the message has " + std::to_string(octets_) +
                           " octets, the host takes " + std::to_string(offered_.size_limit);
        decide(kind_of(552), reply(552, "5.3.4", words));
    }
    // RFC 3030 3: such a message cannot pass through DATA.
    const bool takes_binary = offered_.chunking && offered_.binary_mime;
    if (envelope_.body == Body::binary_mime && !takes_binary) {
        decide(kind_of(554), reply(554, "5.6.3", "the host does not take binary messages"));
    }
    if (!offered_.smtp_utf8) refuse_what_needs_utf8();
}

/// RFC 6531 3.2: such a message goes to no host that does not offer it.
void ClientTransaction::refuse_what_needs_utf8() {
    const auto refusal =
        reply(553, "5.6.7", "the host does not take internationalized addresses (SMTPUTF8)");
    if (envelope_.utf8 || !message::is_ascii(envelope_.reverse_path.local_part)) {
        decide(kind_of(553), refusal);
    }
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
        const bool needed = !message::is_ascii(envelope_.recipients[i].address.local_part);
        if (needed) decide_one(i, kind_of(553), refusal);
    }
}

/// Where the recipients go on that have no verdict yet.
bool ClientTransaction::has_next_recipient() {
    while (next_recipient_ < verdicts_.size() && verdicts_[next_recipient_]) ++next_recipient_;
    return next_recipient_ < verdicts_.size();
}

/// DATA needs none: its 354 is like no other reply.
bool ClientTransaction::is_on_probation() const {
    return footing_ == Host::unknown && offered_.chunking && !answered_rcpt_;
}

/// What is to be said once all that was said has been answered.
ClientTransaction::Step ClientTransaction::flight() {
    const bool nothing_left = std::ranges::all_of(verdicts_, [](auto& v) { return v.has_value(); });
    if (nothing_left) return mail_said_ && !followed_ ? ask(Command::rset) : finish(true);
    if (offered_.pipelining && !is_on_probation()) return whole_flight();
    if (!mail_said_) return ask(Command::mail);
    if (has_next_recipient()) return ask(Command::rcpt, next_recipient_++);
    return offered_.chunking ? send_chunk({}) : ask(Command::data);
}

/// RFC 2920 3.1: MAIL, RCPT and, as the last, DATA may go together. RFC 3030 4.2: so may BDAT and
/// what it announces; a large message waits until somebody is there to take it.
ClientTransaction::Step ClientTransaction::whole_flight() {
    Send flight{{}, Phase::command};
    const auto add = [&](Command command, std::size_t recipient = 0) {
        flight.octets += std::get<Send>(ask(command, recipient)).octets;
    };
    // RFC 3030 2: a chunk of the message before, if it is refused, leaves its transaction open.
    if (footing_ == Host::busy && !mail_said_ && offered_.chunking) add(Command::clear);
    if (!mail_said_) add(Command::mail);
    while (has_next_recipient()) add(Command::rcpt, next_recipient_++);
    const bool alone = flight.octets.empty();
    if (!offered_.chunking) {
        add(Command::data);
    } else if (alone || (footing_ != Host::unknown && octets_ <= k_one_flight)) {
        return send_chunk(std::move(flight.octets));
    }
    return flight;
}

ClientTransaction::Step ClientTransaction::send_chunk(std::string commands) {
    const bool replies_follow = !awaited_.empty();
    in_one_flight_ = replies_follow;
    awaited_.push_back({Command::chunk});
    commands += "BDAT " + std::to_string(octets_) + " LAST\r\n";
    return SendMessage{std::move(commands), true, replies_follow};
}

ClientTransaction::Step ClientTransaction::ask(Command command, std::size_t recipient) {
    mail_said_ = mail_said_ || command == Command::mail;
    awaited_.push_back({command, recipient});
    return Send{command_line(command, recipient), Phase::command};
}

ClientTransaction::Step ClientTransaction::read_on() {
    cut_off_ = true;
    return read();
}

ClientTransaction::Step ClientTransaction::read() {
    switch (awaited_.front().command) {
        case Command::data:
            return ReadReply{Phase::data_start};
        case Command::message:
        case Command::chunk:
        case Command::empty_message:
            return ReadReply{Phase::data_end};
        default:
            return ReadReply{Phase::command};
    }
}

ClientTransaction::Step ClientTransaction::resume(const Reply& reply) {
    const auto [command, recipient] = awaited_.front();
    if (reply.code == 421) {  // RFC 5321 3.8: the server hangs up, whatever it was asked
        decide(kind_of(421), reply);
        return finish(false);
    }
    awaited_.pop_front();
    switch (command) {
        case Command::clear:
            if (kind_of(reply.code) != Verdict::Kind::delivered) return out_of_step(reply, "RSET");
            break;
        case Command::mail:
            take_mail(reply);
            break;
        case Command::rcpt:
            take_rcpt(reply, recipient);
            break;
        case Command::data:
            return after_data(reply);
        case Command::message:
        case Command::chunk:
            return after_message(command, reply);
        case Command::confirm:
            return after_confirmation(reply);
        case Command::empty_message:
            return finish(true);
        case Command::rset:
            return finish(kind_of(reply.code) == Verdict::Kind::delivered);
    }
    return awaited_.empty() ? flight() : read();
}

void ClientTransaction::take_mail(const Reply& reply) {
    const auto kind = kind_of(reply.code);
    if (kind != Verdict::Kind::delivered) decide(kind, reply);
}

void ClientTransaction::take_rcpt(const Reply& reply, std::size_t recipient) {
    answered_rcpt_ = true;
    // RFC 5321 4.5.3.1.10: a 552 behind accepted recipients means "too many", which is a 452.
    const bool too_many = reply.code == 552 && host_accepted_one_;
    const auto kind = kind_of(too_many ? 452 : reply.code);
    if (kind == Verdict::Kind::delivered) {
        host_accepted_one_ = true;
    } else {
        decide_one(recipient, kind, reply);
    }
}

ClientTransaction::Step ClientTransaction::after_data(const Reply& reply) {
    const auto kind = kind_of(reply.code);
    const bool go_ahead = reply.code == 354;
    if (!go_ahead && kind == Verdict::Kind::delivered) return out_of_step(reply, "DATA");
    if (!go_ahead) {
        decide(kind, reply);
        return flight();
    }
    if (any_accepted()) {
        awaited_.push_back({Command::message});
        return SendMessage{};
    }
    // A final dot would have an empty message delivered to recipients taken without a sender.
    if (host_accepted_one_) return out_of_step(reply, "DATA");
    awaited_.push_back({Command::empty_message});  // RFC 2920 3.1: a single dot ends it
    return Send{".\r\n", Phase::data_end};
}

ClientTransaction::Step ClientTransaction::after_message(Command command, const Reply& reply) {
    // Nothing can have been taken over before its end was seen.
    if (cut_off_ && reply.code / 100 < 4) {
        return interrupted("the host broke SMTP: '" + reply.text() + "'");
    }
    const bool for_nobody = !any_accepted();
    // A host that knows no BDAT offered what it has not: that says nothing of the message.
    const bool unknown = command == Command::chunk && is_unknown_command(reply.code);
    lacks_chunking_ = unknown;
    const auto kind = unknown ? Verdict::Kind::deferred : kind_of(reply.code);
    decide(kind, reply);
    const bool waits_for_more = reply.code / 100 == 3;
    if (waits_for_more || unknown) return finish(false);  // or took the message for commands
    if (command == Command::message) return finish(true);
    // RFC 3030 2: a chunk that is refused leaves the transaction open. One that is taken for nobody
    // leaves nobody knows what.
    if (kind != Verdict::Kind::delivered) return flight();
    // The replies to a flight are told apart by their order alone: was one said twice before, this
    // is that to a RCPT, and the next one is the chunk's.
    const bool confirmed = for_nobody || !in_one_flight_;
    if (!confirmed && !followed_) return ask(Command::confirm);
    auto finished = finish(!for_nobody);
    std::get<Finished>(finished).unconfirmed = !confirmed;
    return finished;
}

ClientTransaction::Step ClientTransaction::after_confirmation(const Reply& reply) {
    auto step = finish(kind_of(reply.code) == Verdict::Kind::delivered);
    if (is_doubtful(reply)) doubt(std::get<Finished>(step), reply);
    return step;
}

bool ClientTransaction::is_confirming() const {
    return !awaited_.empty() && awaited_.front().command == Command::confirm;
}

bool ClientTransaction::is_doubtful(const Reply& reply) {
    // Who hangs up just then, or does not know RSET, says nothing of the message.
    return reply.code / 100 >= 4 && reply.code != 421 && !is_unknown_command(reply.code);
}

void ClientTransaction::doubt(Finished& finished, const Reply& said) {
    const auto words = "the host broke SMTP: '" + said.text() +
                       "' in reply to RSET after the message was sent, a duplicate is possible";
    for (auto& verdict : finished.verdicts) {
        if (verdict.kind != Verdict::Kind::delivered) continue;
        verdict.kind = Verdict::Kind::deferred;
        verdict.reply = reply(0, "4.4.2", words);
        verdict.reported_there = false;
    }
}

ClientTransaction::Step ClientTransaction::out_of_step(const Reply& reply, std::string_view to) {
    return interrupted("the host broke SMTP: '" + reply.text() + "' in reply to " +
                       std::string(to));
}

ClientTransaction::Finished ClientTransaction::answered_early(const Reply& early) {
    const auto kind = kind_of(early.code);
    // Nothing can have been taken over before its end was seen.
    if (kind == Verdict::Kind::delivered || early.code / 100 == 3)
        return interrupted("the host broke SMTP: '" + early.text() + "'");
    decide(kind, early);
    return std::get<Finished>(finish(false));
}

ClientTransaction::Finished ClientTransaction::interrupted(std::string_view reason) {
    decide(kind_of(0), reply(0, "4.4.2", std::string(reason) + place()));
    return std::get<Finished>(finish(false));
}

/// Where the dialogue stands, for the reason of its end.
std::string ClientTransaction::place() const {
    if (awaited_.empty()) return {};
    // The host may have taken the message over just before.
    if (message_sent_) return " after the message was sent, a duplicate is possible";
    if (awaits_message()) return " amid the message";
    return " before the reply to " + std::string(name_of(awaited_.front().command));
}

/// The message is sent, or being sent.
bool ClientTransaction::awaits_message() const {
    const auto last = awaited_.empty() ? Command::mail : awaited_.back().command;
    return last == Command::message || last == Command::chunk;
}

ClientTransaction::Finished ClientTransaction::unreadable(std::string_view reason) {
    const Verdict ours{kind_of(0), reply(0, "4.3.0", std::string(reason)), ""};
    for (auto& verdict : verdicts_) verdict = verdict.value_or(ours);
    return std::get<Finished>(finish(false));
}

ClientTransaction::Step ClientTransaction::finish(bool usable) {
    Finished finished{{}, usable, lacks_chunking_};
    for (auto& verdict : verdicts_) finished.verdicts.push_back(std::move(*verdict));
    return finished;
}

std::string ClientTransaction::command_line(Command command, std::size_t recipient) const {
    switch (command) {
        case Command::mail:
            return mail_command() + "\r\n";
        case Command::rcpt:
            return rcpt_command(envelope_.recipients[recipient]) + "\r\n";
        case Command::data:
            return "DATA\r\n";
        case Command::clear:
        case Command::confirm:
        case Command::rset:
            return "RSET\r\n";
        default:
            return {};
    }
}

bool ClientTransaction::needs_utf8() const {
    const auto beyond_ascii = [](const Recipient& recipient) {
        return !message::is_ascii(recipient.address.text());
    };
    return offered_.smtp_utf8 &&
           (envelope_.utf8 || !message::is_ascii(envelope_.reverse_path.text()) ||
            std::ranges::any_of(envelope_.recipients, beyond_ascii));
}

std::string ClientTransaction::text_of(const Address& address) const {
    return offered_.smtp_utf8 ? address.text() : ascii_text(address);
}

std::string ClientTransaction::mail_command() const {
    std::string line = "MAIL FROM:<" + text_of(envelope_.reverse_path) + ">";
    if (needs_utf8()) line += " SMTPUTF8";
    if (offered_.size) line += parameter("SIZE", std::to_string(octets_));
    if (offered_.eight_bit_mime && envelope_.body == Body::eight_bit_mime) line += " BODY=8BITMIME";
    if (envelope_.body == Body::binary_mime) line += " BODY=BINARYMIME";
    if (!offered_.dsn) return line;
    return line + parameter("RET", envelope_.ret) + parameter("ENVID", envelope_.envid);
}

std::string ClientTransaction::rcpt_command(const Recipient& recipient) const {
    const std::string line = "RCPT TO:<" + text_of(recipient.address) + ">";
    if (!offered_.dsn) return line;
    return line + parameter("NOTIFY", recipient.notify) + orcpt_parameter(recipient.orcpt);
}

/// An address beyond ASCII goes as it is with SMTPUTF8 alone, else in its form in ASCII (RFC 6533
/// 3).
std::string ClientTransaction::orcpt_parameter(const std::string& orcpt) const {
    if (message::is_ascii(orcpt)) return parameter("ORCPT", orcpt);
    constexpr std::string_view k_type = "utf-8;";
    const std::string_view whole = orcpt;
    if (!equal_ignoring_case(whole.substr(0, k_type.size()), k_type)) return {};
    const auto address = message::utf8_xtext_decoded(whole.substr(k_type.size()));
    if (!address || !is_parameter_value(orcpt)) return {};
    if (needs_utf8()) return " ORCPT=" + orcpt;
    return parameter("ORCPT", std::string(k_type) + message::utf8_xtext(*address));
}

bool ClientTransaction::any_accepted() const {
    return std::ranges::any_of(verdicts_, [](const auto& verdict) { return !verdict; });
}

/// The verdict of all recipients that have none yet.
void ClientTransaction::decide(Verdict::Kind kind, const Reply& reply) {
    for (std::size_t i = 0; i < verdicts_.size(); ++i) decide_one(i, kind, reply);
}

void ClientTransaction::decide_one(std::size_t recipient, Verdict::Kind kind, const Reply& reply) {
    auto& verdict = verdicts_[recipient];
    const bool delivered = kind == Verdict::Kind::delivered;
    if (!verdict) verdict = Verdict{kind, reply, host_, delivered && offered_.dsn};
}

}  // namespace mailroot::smtp
