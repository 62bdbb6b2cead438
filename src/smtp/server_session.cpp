#include "smtp/server_session.hpp"

#include "core/text.hpp"
#include "core/verdict.hpp"
#include "message/utf8.hpp"

#include <algorithm>
#include <utility>

namespace mailroot::smtp {

namespace {

// Replies to one flight are held back up to here, so that a client that never reads cannot grow us.
constexpr std::size_t k_max_replies = 16 * 1024;

constexpr std::size_t k_max_logged = 200;

// Commands answered 4xx, up to the next message; more count as errors (Postfix:
// smtpd_recipient_overshoot_limit).
constexpr std::uint64_t k_most_put_off = 1000;

bool is_control(char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
}

/// What may stand in a command: text, UTF-8 where it is beyond ASCII (RFC 6531).
bool is_text(std::string_view line) {
    return std::ranges::none_of(line, is_control) && message::is_utf8(line);
}

std::string printable(std::string_view text) {
    std::string shown(text.substr(0, k_max_logged));
    if (is_text(shown)) return shown;
    std::ranges::replace_if(
        shown, [](char c) { return is_control(c) || static_cast<unsigned char>(c) >= 0x80; }, '?');
    return shown;
}

/// The line without what AUTH and a mechanism are followed by, however it comes to be refused.
std::string without_secret(std::string_view line) {
    auto rest = trimmed(line);
    constexpr std::string_view k_auth = "AUTH";
    if (!equal_ignoring_case(rest.substr(0, k_auth.size()), k_auth)) return std::string(line);
    rest = trimmed(rest.substr(k_auth.size()));
    const auto mechanism = rest.substr(0, rest.find_first_of(k_blanks));
    return "AUTH " + std::string(mechanism) + (mechanism.size() < rest.size() ? " ***" : "");
}

std::chrono::milliseconds between(std::chrono::steady_clock::time_point from,
                                  std::chrono::steady_clock::time_point to) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(to - from);
}

}  // namespace

ServerSession::ServerSession(const ServerOptions& options, SessionTerms terms, Peer peer,
                             EventLog& log, SteadyPoint now)
    : options_(options),
      terms_(std::move(terms)),
      log_(log),
      peer_(std::move(peer)),
      now_(now),
      began_(now),
      command_came_(now),
      receive_by_(now) {
    log_.connected(peer_);
    replies_ = reply(220, "", options_.hostname + " mailroot ESMTP ready").wire();
}

Step ServerSession::next(SteadyPoint now) {
    now_ = now;
    if (reply_) take_reply(*std::exchange(reply_, std::nullopt));
    for (;;) {
        if (wanted_) return *std::exchange(wanted_, std::nullopt);
        if (stopping_ && !in_transaction() && state_ != State::closed) {
            close(reply(421, "4.3.2", options_.hostname + " Service closing"), "stopped");
        }
        const bool closed = state_ == State::closed;
        const bool quiet = rest_.empty() && !(receiving_data() && receiver_->ended());
        const bool to_send = closed || quiet || after_replies_ || replies_.size() > k_max_replies;
        if (to_send && !replies_.empty()) {
            tally_.sent += replies_.size();
            return step::Send{std::exchange(replies_, {})};
        }
        if (closed) return close_connection();
        if (after_replies_) return take_over();
        if (quiet) {
            expect_octets();
            return step::Receive{};
        }
        if (receiving_data()) {
            take_data();
        } else {
            take_line();
        }
    }
}

/// What changes the connection itself.
Step ServerSession::take_over() {
    auto step = *std::exchange(after_replies_, std::nullopt);
    if (std::holds_alternative<step::Turn>(step)) {
        how_it_ended_ = "turned around";
        enter(State::closed);
    }
    return step;
}

void ServerSession::feed(std::string_view octets) {
    rest_ = octets;
    tally_.received += octets.size();
    if (receiving_data()) data_octets_ += octets.size();
}

/// A client has until then for its next octets. Who drips them one by one gains no time: a command
/// has its time as a whole, and a message has to come at the minimum rate.
void ServerSession::expect_octets() {
    if (!receiving_data()) {
        if (!lines_.has_part()) receive_by_ = now_ + options_.idle;
        return;
    }
    receive_by_ = now_ + options_.idle;
    if (options_.min_rate == 0) return;
    const auto earned = std::chrono::seconds(data_octets_ / options_.min_rate);
    receive_by_ = std::min(receive_by_, data_since_ + options_.idle + earned);
}

void ServerSession::take_line() {
    const bool response = state_ == State::authenticating;
    if (!lines_.take(
            rest_, response ? CommandLineReader::k_max_response : CommandLineReader::k_max_line)) {
        return;
    }
    command_came_ = now_;
    const std::string& line = lines_.line();
    command_ = response ? "***" : printable(without_secret(line));
    if (lines_.too_long()) {
        const auto refusal = reply(500, "5.5.2", "Line too long");
        return response ? end_authentication(refusal) : answer(refusal);
    }
    if (response) return take_response(line);
    if (!is_text(line)) return answer(reply(500, "5.5.2", "Character not allowed in a command"));
    run(line);
}

void ServerSession::take_data() {
    std::string octets;
    if (!receiver_->ended()) rest_.remove_prefix(receiver_->feed(rest_, octets));
    if (receiver_->ended() && is_last_part()) receiver_->finish(octets);
    if (open_ && receiver_->refusal()) {
        // The rest is read all the same: SMTP has no word before its end.
        open_ = false;
        wanted_ = step::Abort{};
    } else if (open_ && !octets.empty()) {
        wanted_ = step::Append{std::move(octets)};
    } else if (receiver_->ended()) {
        data_ended();
    }
}

bool ServerSession::is_last_part() const {
    return state_ == State::data || chunk_.last;
}

/// The final dot, or the end of a chunk.
void ServerSession::data_ended() {
    command_came_ = now_;
    data_time_ = now_ - data_since_;
    if (is_last_part()) {
        command_ = "end of data";
        ++tally_.messages;
        tally_.message_octets += receiver_->octets();
    }
    if (const auto refusal = chunk_.refused ? chunk_.refused : receiver_->refusal()) {
        return refuse_data(*refusal);
    }
    if (is_last_part()) {
        open_ = false;
        asked_ = Asked::message;
        wanted_ = step::Commit{};
        return;
    }
    enter(State::between_chunks);
    answer(reply(250, "2.0.0", std::to_string(chunk_.octets) + " octets received"));
}

/// A chunk out of order leaves the transaction as it was; any other refusal ends it.
void ServerSession::refuse_data(const Reply& reply) {
    const auto before = std::exchange(chunk_, {}).before;
    if (before == State::recipients || before == State::between_chunks) {
        end_transaction();
    } else {
        receiver_.reset();
        enter(before);
    }
    answer(reply);
}

void ServerSession::take_reply(const Reply& reply) {
    if (state_ == State::closed) return;  // disconnected meanwhile
    const bool taken = kind_of(reply.code) == Verdict::Kind::delivered;
    switch (std::exchange(asked_, Asked::nothing)) {
        case Asked::sender:
            if (taken) {
                envelope_ = std::move(checked_sender_);
                enter(State::mail);
            }
            return answer(reply);
        case Asked::recipient:
            if (taken) {
                envelope_.recipients.push_back(std::move(checked_recipient_));
                enter(State::recipients);
            } else {
                recipient_refused_ = true;
            }
            return answer(reply);
        case Asked::message:
            end_transaction();
            if (taken) {
                ++tally_.taken;
                tally_.errors = 0;
                tally_.put_off = 0;
                tally_.idle_commands = 0;
            }
            return say(reply);
        case Asked::turn:
            if (!taken) return answer(reply);
            say(reply);
            after_replies_ = step::Turn{std::move(turn_domains_), std::string(rest_)};
            rest_ = {};
            return;
        case Asked::queue:
        case Asked::nothing:
            return answer(reply);
    }
}

void ServerSession::begin_message() {
    receiver_.emplace(MessageRules{options_.message_size, options_.bare_newline,
                                   envelope_.body == Body::binary_mime});
    chunk_ = {};
    data_time_ = {};
    data_octets_ = 0;
    wanted_ = step::Begin{envelope_};
}

/// The clock of the message goes on, for `most` octets that follow. Between two chunks it stands
/// still.
void ServerSession::begin_part(std::uint64_t most) {
    data_since_ = now_ - data_time_;
    data_octets_ += std::min<std::uint64_t>(rest_.size(), most);
}

void ServerSession::begun(bool taken) {
    open_ = taken;
    const auto refusal = reply(452, "4.3.1", "Insufficient system storage");
    if (state_ == State::chunk) {
        if (!taken) chunk_.refused = refusal;
    } else if (taken) {
        receiver_->begin_data();
        enter(State::data);
        answer(reply(354, "", "Start mail input; end with <CRLF>.<CRLF>"));
    } else {
        end_transaction();
        answer(refusal);
    }
}

void ServerSession::tls_started(std::string protocol, std::string cipher) {
    peer_.tls_protocol = std::move(protocol);
    peer_.tls_cipher = std::move(cipher);
    // RFC 3207 4.2: nothing that was said before counts.
    peer_.helo.clear();
    peer_.extended = false;
    enter(State::connected);
    log_.encrypted(peer_);
}

void ServerSession::time_out() {
    close(reply(421, "4.4.2", options_.hostname + " Timeout, closing connection"), "timed out");
}

void ServerSession::disconnected() {
    if (state_ == State::closed) return;
    how_it_ended_ = in_transaction() ? "lost in a transaction" : "disconnected";
    replies_.clear();
    wanted_.reset();
    after_replies_.reset();
    enter(State::closed);
}

Step ServerSession::close_connection() {
    log_.disconnected(
        peer_, {how_it_ended_, tally_.received, tally_.sent, tally_.taken, between(began_, now_)});
    return step::Close{};
}

bool ServerSession::receiving_data() const {
    return state_ == State::data || state_ == State::chunk;
}

bool ServerSession::in_transaction() const {
    return state_ == State::mail || state_ == State::recipients || receiving_data() ||
           state_ == State::between_chunks;
}

void ServerSession::end_transaction() {
    envelope_ = {};
    recipient_refused_ = false;
    receiver_.reset();
    chunk_ = {};
    if (std::exchange(open_, false)) wanted_ = step::Abort{};
    if (in_transaction()) enter(State::greeted);
}

/// Says the reply to a command, or hangs up where too many were refused.
void ServerSession::answer(const Reply& reply) {
    // A client may try more recipients than fit, but not forever.
    const bool put_off = reply.code / 100 == 4 && ++tally_.put_off > k_most_put_off;
    const bool refused = put_off || kind_of(reply.code) == Verdict::Kind::failed;
    if (refused && ++tally_.errors > options_.errors && options_.errors != 0) {
        return close(mailroot::reply(421, "4.7.0", "Too many errors"), "too many errors");
    }
    say(reply);
}

void ServerSession::say(const Reply& reply) {
    replies_ += reply.wire();
    const auto used = tally_.received - rest_.size();
    log_.command(peer_, {command_, reply, used - tally_.accounted, between(command_came_, now_)});
    tally_.accounted = used;
}

/// Says the last reply; what the client said behind it is not looked at.
void ServerSession::close(const Reply& reply, std::string_view how) {
    say(reply);
    how_it_ended_ = how;
    enter(State::closed);
}

}  // namespace mailroot::smtp
