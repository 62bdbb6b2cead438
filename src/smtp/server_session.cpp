#include "smtp/server_session.hpp"

#include "core/verdict.hpp"
#include "smtp/path_command.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace mailroot::smtp {

namespace {

// Replies to one flight are held back up to here, so that a client that never reads cannot grow us.
constexpr std::size_t k_max_replies = 16 * 1024;

constexpr std::size_t k_max_logged = 200;

// RFC 5321 4.5.3.1.2 for a domain; nobody is called longer.
constexpr std::size_t k_max_helo = 255;

std::string_view trim(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return text.substr(0, text.find_last_not_of(' ') + 1);
}

bool is_printable(char c) {
    return (c >= ' ' && c <= '~') || c == '\t';
}

std::string printable(std::string_view text) {
    std::string shown(text.substr(0, k_max_logged));
    std::ranges::replace_if(
        shown, [](char c) { return !is_printable(c); }, '?');
    return shown;
}

/// A browser was led here; what follows could be commands in a form it was made to post.
bool is_http(std::string_view verb) {
    constexpr std::array methods{"CONNECT", "DELETE", "GET",  "HEAD",
                                 "OPTIONS", "PATCH",  "POST", "PUT"};
    return std::ranges::any_of(methods, [&](auto m) { return equal_ignoring_case(m, verb); });
}

struct CommandLine {
    std::string_view verb;
    std::string_view argument;
};

CommandLine split(std::string_view line) {
    const auto text = trim(line);
    const auto verb = text.substr(0, text.find(' '));
    return {verb, trim(text.substr(verb.size()))};
}

template <class State>
constexpr unsigned bit(State state) {
    return 1u << static_cast<unsigned>(state);
}

enum class Argument { none, optional, required };

}  // namespace

/// The commands (RFC 5321 4.1.1) and when they are allowed (4.1.4). take_line() sees to it: no
/// handler is called out of order.
struct ServerSession::Grammar {
    struct Row {
        std::string_view verb;
        void (ServerSession::*handler)(std::string_view argument);
        unsigned allowed;  ///< the states, as bits
        Argument argument;
        std::string_view otherwise;  ///< said in the other states
    };
    using S = ServerSession;

    static constexpr unsigned k_always = ~0u;
    static constexpr unsigned k_greeted = bit(State::greeted);
    static constexpr unsigned k_recipients = bit(State::recipients);
    static constexpr unsigned k_sender = bit(State::mail) | k_recipients;

    static constexpr std::array k_rows{
        Row{"HELO", &S::helo, k_always, Argument::required, ""},
        Row{"EHLO", &S::ehlo, k_always, Argument::required, ""},
        Row{"MAIL", &S::mail, k_greeted, Argument::required, "Sender already specified"},
        Row{"RCPT", &S::rcpt, k_sender, Argument::required, "Need MAIL command"},
        Row{"DATA", &S::data, k_recipients, Argument::none, "Need RCPT command"},
        Row{"RSET", &S::rset, k_always, Argument::none, ""},
        Row{"NOOP", &S::noop, k_always, Argument::optional, ""},
        Row{"VRFY", &S::vrfy, k_always, Argument::required, ""},
        Row{"HELP", &S::help, k_always, Argument::optional, ""},
        Row{"QUIT", &S::quit, k_always, Argument::none, ""},
    };

    /// Null where there is no such command.
    static const Row* find(std::string_view verb) {
        const auto row = std::ranges::find_if(
            k_rows, [verb](const Row& r) { return equal_ignoring_case(r.verb, verb); });
        return row == k_rows.end() ? nullptr : &*row;
    }

    /// Why a known command may not run now, or not with this argument.
    static std::optional<Reply> refusal(const Row& row, const ServerSession& session,
                                        std::string_view argument) {
        if ((row.allowed & bit(session.state_)) == 0) {
            if (session.state_ == State::connected) return reply(503, "5.5.2", "Send hello first");
            // RFC 2920 3.1: a pipelining client says DATA before it knows that nobody is left.
            if (session.recipient_refused_) return reply(554, "5.5.1", "No valid recipients");
            return reply(503, "5.5.1", std::string(row.otherwise));
        }
        const std::string verb(row.verb);
        if (row.argument == Argument::none && !argument.empty()) {
            return reply(501, "5.5.4", verb + " takes no argument");
        }
        if (row.argument == Argument::required && argument.empty()) {
            return reply(501, "5.5.4", verb + " needs an argument");
        }
        return std::nullopt;
    }

    static std::string verbs() {
        std::string text;
        for (const auto& row : k_rows) {
            if (!text.empty()) text += ' ';
            text += row.verb;
        }
        return text;
    }
};

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
    const auto [verb, argument] = split(line);
    if (is_http(verb)) return close(reply(421, "4.7.0", "This is not an HTTP server"), line);
    const auto* row = Grammar::find(verb);
    if (row == nullptr) return answer(reply(500, "5.5.1", "Unrecognized command"));
    if (const auto refused = Grammar::refusal(*row, *this, argument)) return answer(*refused);
    (this->*row->handler)(argument);
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
    rest_ = {};
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

void ServerSession::ehlo(std::string_view name) {
    if (!greet(name)) return;
    peer_.extended = true;
    // The order, and OK at the end, are those of IIS.
    answer(Reply{250,
                 "",
                 {options_.hostname + " Hello [" + peer_.address + "]",
                  "SIZE " + std::to_string(options_.message_size), "PIPELINING",
                  "ENHANCEDSTATUSCODES", "8BITMIME", "OK"}});
}

void ServerSession::helo(std::string_view name) {
    if (!greet(name)) return;
    peer_.extended = false;
    answer(reply(250, "", options_.hostname + " Hello [" + peer_.address + "]"));
}

/// What EHLO and HELO have in common; false where the name was refused.
bool ServerSession::greet(std::string_view name) {
    if (name.size() > k_max_helo) {
        answer(reply(501, "5.5.4", "Domain name too long"));
        return false;
    }
    peer_.helo = name;
    end_transaction();  // RFC 5321 4.1.4: as if by RSET
    enter(State::greeted);
    return true;
}

void ServerSession::mail(std::string_view argument) {
    if (options_.messages_per_connection != 0 && messages_ >= options_.messages_per_connection) {
        return close(reply(421, "4.7.0", "Too many messages in this connection"), lines_.line());
    }
    auto command = parse_mail(argument);
    if (!command) return answer(command.error());
    Envelope envelope;
    const auto refused = take_mail_parameters(command->parameters, options_.message_size, envelope);
    if (refused) return answer(*refused);
    const auto path = command->path.is_null() ? "<>" : command->path.text();
    envelope.reverse_path = std::move(command->path);
    envelope_ = std::move(envelope);
    enter(State::mail);
    answer(reply(250, "2.1.0", path + "....Sender OK"));
}

void ServerSession::rcpt(std::string_view argument) {
    auto command = parse_rcpt(argument);
    auto refused = command ? take_rcpt_parameters(command->parameters) : command.error();
    if (!refused && options_.recipients != 0 &&
        envelope_.recipients.size() >= options_.recipients) {
        refused = reply(452, "4.5.3", "Too many recipients");
    }
    if (refused) {
        recipient_refused_ = true;
        return answer(*refused);
    }
    checked_ = std::move(command->path);
    wanted_ = step::CheckRecipient{checked_};
}

void ServerSession::data(std::string_view) {
    wanted_ = step::Begin{std::move(envelope_)};
}

void ServerSession::rset(std::string_view) {
    end_transaction();
    answer(reply(250, "2.0.0", "Resetting"));
}

void ServerSession::noop(std::string_view) {
    answer(reply(250, "2.0.0", "OK"));
}

void ServerSession::vrfy(std::string_view) {
    answer(reply(252, "2.0.0", "Cannot VRFY user, but will take message and attempt delivery"));
}

void ServerSession::help(std::string_view) {
    answer(Reply{214, "2.0.0", {"This server supports the following commands:", Grammar::verbs()}});
}

void ServerSession::quit(std::string_view) {
    close(reply(221, "2.0.0", options_.hostname + " Service closing transmission channel"),
          lines_.line());
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
    rest_ = {};
    enter(State::closed);
}

}  // namespace mailroot::smtp
