#include "smtp/server_session.hpp"

#include "core/verdict.hpp"

#include <algorithm>
#include <utility>

namespace mailroot::smtp {

namespace {

// Replies to one flight are held back up to here, so that a client that never reads cannot grow us.
constexpr std::size_t k_max_replies = 16 * 1024;

constexpr std::size_t k_max_logged = 200;

bool is_printable(char c) {
    return (c >= ' ' && c <= '~') || c == '\t';
}

std::string printable(std::string_view text) {
    std::string shown(text.substr(0, k_max_logged));
    std::ranges::replace_if(
        shown, [](char c) { return !is_printable(c); }, '?');
    return shown;
}

}  // namespace

ServerSession::ServerSession(const ServerOptions& options, Peer peer, EventLog& log)
    : options_(options), log_(log), peer_(std::move(peer)) {
    say(reply(220, "", options_.hostname + " mailroot ESMTP ready"), "connected");
}

Step ServerSession::next() {
    for (;;) {
        if (wanted_) return *std::exchange(wanted_, std::nullopt);
        if (stopping_ && !in_transaction() && state_ != State::closed) {
            close(reply(421, "4.3.2", options_.hostname + " Service closing"), "stopped");
        }
        const bool closed = state_ == State::closed;
        const bool quiet = rest_.empty() && !(receiving_data() && decoder_.done());
        const bool to_send = closed || quiet || replies_.size() > k_max_replies;
        if (to_send && !replies_.empty()) return step::Send{std::exchange(replies_, {})};
        if (closed) return step::Close{};
        if (quiet) return step::Receive{};
        if (receiving_data()) {
            take_data();
        } else {
            take_line();
        }
    }
}

void ServerSession::take_line() {
    if (!lines_.take(rest_)) return;
    const std::string& line = lines_.line();
    if (lines_.too_long()) return answer(reply(500, "5.5.2", "Line too long"));
    if (!std::ranges::all_of(line, is_printable)) {
        return answer(reply(500, "5.5.2", "Character not allowed in a command"));
    }
    run(line);
}

void ServerSession::take_data() {
    if (decoder_.done()) return end_of_data();
    std::string octets;
    octets.reserve(rest_.size());
    rest_.remove_prefix(decoder_.feed(rest_, octets));
    if (too_big_ || octets.empty()) return;
    message_octets_ += octets.size();
    too_big_ = options_.message_size != 0 && message_octets_ > options_.message_size;
    if (too_big_) {
        wanted_ = step::Abort{};  // the rest is read all the same: SMTP has no word before its end
    } else {
        wanted_ = step::Append{std::move(octets)};
    }
}

void ServerSession::end_of_data() {
    ++messages_;
    decoder_ = {};
    if (!too_big_) {
        wanted_ = step::Commit{};
        return;
    }
    say(reply(552, "5.3.4", "Message size exceeds fixed maximum message size"), "end of data");
    end_transaction();
}

void ServerSession::recipient_checked(const Reply& reply) {
    if (kind_of(reply.code) == Verdict::Kind::delivered) {
        envelope_.recipients.push_back({std::move(checked_), {}, {}, false});
        enter(State::recipients);
    } else {
        recipient_refused_ = true;
    }
    answer(reply);
}

void ServerSession::begun(bool taken) {
    if (!taken) {
        answer(reply(452, "4.3.1", "Insufficient system storage"));
        return end_transaction();
    }
    decoder_ = {};
    message_octets_ = 0;
    too_big_ = false;
    enter(State::data);
    answer(reply(354, "", "Start mail input; end with <CRLF>.<CRLF>"));
}

void ServerSession::committed(const Reply& reply) {
    if (state_ == State::closed) return;  // disconnected meanwhile
    if (kind_of(reply.code) == Verdict::Kind::delivered) errors_ = 0;
    say(reply, "end of data");
    end_transaction();
}

void ServerSession::time_out() {
    close(reply(421, "4.4.2", options_.hostname + " Timeout, closing connection"), "timed out");
}

void ServerSession::stop() {
    stopping_ = true;
}

void ServerSession::disconnected() {
    if (state_ == State::closed) return;
    log_.session(peer_.address, in_transaction() ? "lost in a transaction" : "disconnected");
    replies_.clear();
    wanted_.reset();
    enter(State::closed);
}

bool ServerSession::in_transaction() const {
    return state_ == State::mail || state_ == State::recipients || state_ == State::data;
}

void ServerSession::end_transaction() {
    envelope_ = {};
    recipient_refused_ = false;
    if (in_transaction()) enter(State::greeted);
}

/// Says the reply to a command, or hangs up where too many were refused.
void ServerSession::answer(const Reply& reply) {
    const bool refused = kind_of(reply.code) == Verdict::Kind::failed;
    if (refused && ++errors_ > options_.errors && options_.errors != 0) {
        return close(mailroot::reply(421, "4.7.0", "Too many errors"), lines_.line());
    }
    say(reply, lines_.line());
}

void ServerSession::say(const Reply& reply, std::string_view to) {
    replies_ += reply.wire();
    log_.session(peer_.address, printable(to) + ' ' + std::to_string(reply.code));
}

/// Says the last reply; what the client said behind it is not looked at.
void ServerSession::close(const Reply& reply, std::string_view to) {
    say(reply, to);
    enter(State::closed);
}

}  // namespace mailroot::smtp
