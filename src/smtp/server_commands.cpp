#include "core/text.hpp"
#include "smtp/path_command.hpp"
#include "smtp/server_session.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace mailroot::smtp {

namespace {

// RFC 5321 4.5.3.1.2 for a domain; nobody is called longer.
constexpr std::size_t k_max_helo = 255;

// A message in smaller ones gets nowhere; a few may be.
constexpr std::uint64_t k_small_chunk = 512;

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
    const auto text = trimmed(line);
    const auto verb = text.substr(0, text.find(' '));
    return {verb, trimmed(text.substr(verb.size()))};
}

template <class State>
constexpr unsigned bit(State state) {
    return 1u << static_cast<unsigned>(state);
}

enum class Argument { none, optional, required };

/// The argument of BDAT (RFC 3030 2).
struct ChunkSize {
    std::uint64_t octets = 0;
    bool last = false;
};

std::optional<ChunkSize> parse_chunk_size(std::string_view argument) {
    const auto [size, last] = split(argument);
    ChunkSize chunk;
    const auto end = size.data() + size.size();
    const auto [stop, error] = std::from_chars(size.data(), end, chunk.octets);
    if (stop != end || error != std::errc{}) return std::nullopt;
    chunk.last = equal_ignoring_case(last, "LAST");
    if (!chunk.last && !last.empty()) return std::nullopt;
    return chunk;
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        parts.emplace_back(trimmed(take_until(text, ',')));
    }
    return parts;
}

/// RFC 9422.
std::string limits_text(const ServerOptions& options) {
    std::string text;
    const auto add = [&text](const char* name, std::uint64_t limit) {
        if (limit != 0) text += ' ' + std::string(name) + '=' + std::to_string(limit);
    };
    add("MAILMAX", options.messages_per_connection);
    add("RCPTMAX", options.recipients);
    return text.empty() ? text : "LIMITS" + text;
}

}  // namespace

/// The commands (RFC 5321 4.1.1) and when they are allowed (4.1.4). run() sees to it: no handler is
/// called out of order.
struct ServerSession::Grammar {
    using S = ServerSession;

    static constexpr unsigned k_always = ~0u;
    static constexpr unsigned k_greeted = bit(State::greeted);
    static constexpr unsigned k_recipients = bit(State::recipients);
    static constexpr unsigned k_sender = bit(State::mail) | k_recipients;

    // What else there is to know of a command.
    static constexpr unsigned k_before_tls = 1;  ///< where TLS is required, RFC 3207 4
    static constexpr unsigned k_idle = 2;        ///< no step towards a message
    static constexpr unsigned k_known = 4;       ///< and refused; HELP does not name it

    struct Row {
        std::string_view verb;
        void (ServerSession::*handler)(std::string_view argument);
        unsigned allowed;  ///< the states, as bits
        Argument argument;
        unsigned traits;
        std::string_view otherwise;  ///< said in the other states
    };

    static constexpr std::string_view k_in_transaction = "Not while a message is sent";

    static constexpr std::array k_rows{
        // IIS bears with a greeting without a name, and devices that knew no other server rely on
        // it.
        Row{"HELO", &S::helo, k_always, Argument::optional, k_before_tls | k_idle, ""},
        Row{"EHLO", &S::ehlo, k_always, Argument::optional, k_before_tls | k_idle, ""},
        Row{"STARTTLS", &S::starttls, k_greeted, Argument::none, k_before_tls | k_idle,
            k_in_transaction},
        Row{"AUTH", &S::auth, k_greeted, Argument::required, 0, k_in_transaction},
        Row{"MAIL", &S::mail, k_greeted, Argument::required, 0, "Sender already specified"},
        Row{"RCPT", &S::rcpt, k_sender, Argument::required, 0, "Need MAIL command"},
        Row{"DATA", &S::data, k_recipients, Argument::none, 0, "Need RCPT command"},
        // Its octets follow at once, so that it sees to its order itself.
        Row{"BDAT", &S::bdat, k_always, Argument::optional, k_before_tls, ""},
        Row{"RSET", &S::rset, k_always, Argument::none, k_before_tls | k_idle, ""},
        Row{"NOOP", &S::noop, k_always, Argument::optional, k_before_tls | k_idle, ""},
        Row{"VRFY", &S::vrfy, k_always, Argument::required, k_idle, ""},
        Row{"ETRN", &S::etrn, k_greeted, Argument::required, k_idle, k_in_transaction},
        Row{"ATRN", &S::atrn, k_greeted, Argument::optional, k_idle, k_in_transaction},
        Row{"HELP", &S::help, k_always, Argument::optional, k_before_tls | k_idle, ""},
        Row{"QUIT", &S::quit, k_always, Argument::none, k_before_tls, ""},
        Row{"EXPN", &S::refuse, k_always, Argument::optional, k_idle | k_known, ""},
        // RFC 5321 F.1: whoever connects would be given the mail of any host it names.
        Row{"TURN", &S::refuse, k_always, Argument::optional, k_idle | k_known, ""},
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
        if (session.needs_tls() && (row.traits & k_before_tls) == 0) return tls_first();
        if ((row.allowed & bit(session.state_)) == 0) {
            if (session.state_ == State::connected) return reply(503, "5.5.2", "Send hello first");
            if (session.state_ == State::between_chunks) {
                return reply(503, "5.5.1", "Need BDAT or RSET");
            }
            // RFC 2920 3.1: a pipelining client says DATA before it knows that nobody is left.
            if (row.handler == &S::data && session.recipient_refused_) return no_recipients();
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

    static Reply tls_first() { return reply(530, "5.7.0", "Must issue a STARTTLS command first"); }
    static Reply no_recipients() { return reply(554, "5.5.1", "No valid recipients"); }

    static std::string verbs() {
        std::string text;
        for (const auto& row : k_rows) {
            if ((row.traits & k_known) != 0) continue;
            if (!text.empty()) text += ' ';
            text += row.verb;
        }
        return text;
    }
};

/// Runs the command, if it is one and may run now.
void ServerSession::run(std::string_view line) {
    const auto [verb, argument] = split(line);
    if (is_http(verb)) {
        return close(reply(421, "4.7.0", "This is not an HTTP server"), "spoke HTTP");
    }
    const auto* row = Grammar::find(verb);
    if (row == nullptr) return refuse_unknown();
    if ((row->traits & Grammar::k_idle) != 0 && !may_idle()) return;
    if (const auto refused = Grammar::refusal(*row, *this, argument)) return answer(*refused);
    (this->*row->handler)(argument);
}

/// Counts a command that is no step towards a message; false where that was one too many.
bool ServerSession::may_idle() {
    if (options_.idle_commands == 0 || ++tally_.idle_commands <= options_.idle_commands) {
        return true;
    }
    close(reply(421, "4.7.0", "Too many commands without a message"), "too many idle commands");
    return false;
}

void ServerSession::refuse_unknown() {
    if (options_.unknown_commands != 0 && ++tally_.unknown_commands > options_.unknown_commands) {
        return close(reply(421, "4.7.0", "Too many unknown commands"), "too many unknown commands");
    }
    answer(reply(500, "5.5.1", "Unrecognized command"));
}

bool ServerSession::needs_tls() const {
    return terms_.require_tls && !peer_.encrypted();
}

void ServerSession::ehlo(std::string_view name) {
    if (!greet(name)) return;
    peer_.extended = true;
    answer(Reply{250, "", extensions()});
}

/// The lines of the reply to EHLO; the order, and OK at the end, are those of IIS.
std::vector<std::string> ServerSession::extensions() const {
    std::vector<std::string> lines{options_.hostname + " Hello [" + peer_.address + "]"};
    if (options_.turn) lines.emplace_back("ATRN");
    lines.push_back("SIZE " + std::to_string(options_.message_size));
    if (options_.etrn) lines.emplace_back("ETRN");
    for (const auto* keyword : {"PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME",
                                "BINARYMIME", "CHUNKING", "VRFY", "SMTPUTF8"}) {
        lines.emplace_back(keyword);
    }
    if (const auto limits = limits_text(options_); !limits.empty()) lines.push_back(limits);
    if (terms_.starttls && !peer_.encrypted()) lines.emplace_back("STARTTLS");
    if (offers_auth()) lines.push_back("AUTH " + sasl_mechanisms(*terms_.users));
    lines.emplace_back("HELP");
    lines.emplace_back("OK");
    return lines;
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

void ServerSession::starttls(std::string_view) {
    if (peer_.encrypted()) return answer(reply(503, "5.5.1", "TLS is active already"));
    if (!terms_.starttls) return answer(reply(502, "5.5.1", "STARTTLS is not offered"));
    if (peer_.authenticated()) return answer(reply(503, "5.5.1", "Not after AUTH"));
    answer(reply(220, "2.0.0", "Ready to start TLS"));
    if (state_ == State::closed) return;
    // RFC 3207 6: what was said in the clear behind it is anybody's, and never ran.
    rest_ = {};
    after_replies_ = step::StartTls{};
}

void ServerSession::mail(std::string_view argument) {
    if (options_.messages_per_connection != 0 &&
        tally_.messages >= options_.messages_per_connection) {
        return close(reply(421, "4.7.0", "Too many messages in this connection"),
                     "too many messages");
    }
    auto command = parse_mail(argument);
    if (!command) return answer(command.error());
    Envelope envelope;
    std::uint64_t announced = 0;
    auto refused = take_mail_parameters(
        command->parameters, {options_.message_size, terms_.users != nullptr}, envelope, announced);
    if (!refused) refused = refuse_beyond_ascii(command->path, envelope.utf8);
    if (refused) return answer(*refused);
    // The first message of a session always fits: in the next session it would come no further.
    if (options_.session_size != 0 && tally_.message_octets != 0 &&
        tally_.message_octets + announced > options_.session_size) {
        return close(reply(421, "4.7.0", "Session size exceeds fixed maximum session size"),
                     "session too large");
    }
    envelope.reverse_path = std::move(command->path);
    if (peer_.authenticated() && !terms_.users->may_send_as(peer_.user, envelope.reverse_path)) {
        return answer(reply(553, "5.7.1", "You may not send as " + envelope.reverse_path.text()));
    }
    checked_sender_ = std::move(envelope);
    asked_ = Asked::sender;
    wanted_ = step::CheckSender{checked_sender_, announced};
}

void ServerSession::rcpt(std::string_view argument) {
    auto command = parse_rcpt(argument);
    Recipient recipient;
    auto refused = command ? take_rcpt_parameters(command->parameters, envelope_.utf8, recipient)
                           : command.error();
    if (!refused) refused = refuse_beyond_ascii(command->path, envelope_.utf8);
    if (!refused && options_.recipients != 0 &&
        envelope_.recipients.size() >= options_.recipients) {
        refused = reply(452, "4.5.3", "Too many recipients");
    }
    if (refused) {
        recipient_refused_ = true;
        return answer(*refused);
    }
    recipient.address = std::move(command->path);
    checked_recipient_ = std::move(recipient);
    asked_ = Asked::recipient;
    wanted_ = step::CheckRecipient{checked_recipient_};
}

void ServerSession::data(std::string_view) {
    // RFC 3030 3: its octets could hold the end of the data.
    if (envelope_.body == Body::binary_mime) {
        return answer(reply(503, "5.5.1", "BODY=BINARYMIME needs BDAT"));
    }
    begin_message();
    begin_part(rest_.size());
}

void ServerSession::bdat(std::string_view argument) {
    const auto size = parse_chunk_size(argument);
    // Where the next command begins is not known: what follows may be anything.
    if (!size) return close(reply(521, "5.5.4", "Syntax: BDAT octets [LAST]"), "lost its place");
    const bool brings_little = size->octets < k_small_chunk && !size->last;
    if (brings_little && !may_idle()) return;
    auto refused = chunk_refusal();
    const auto before = state_;
    if (refused) {
        receiver_.emplace(MessageRules{});
        data_time_ = {};
        data_octets_ = 0;
    } else if (before == State::recipients) {
        begin_message();
    }
    chunk_ = {size->octets, size->last, before, std::move(refused)};
    receiver_->begin_chunk(size->octets);
    begin_part(size->octets);
    enter(State::chunk);
}

/// Why the octets of a BDAT are read in vain.
std::optional<Reply> ServerSession::chunk_refusal() const {
    if (needs_tls()) return Grammar::tls_first();
    switch (state_) {
        case State::recipients:
        case State::between_chunks:
            return std::nullopt;
        case State::connected:
            return reply(503, "5.5.2", "Send hello first");
        case State::mail:
            if (recipient_refused_) return Grammar::no_recipients();
            return reply(503, "5.5.1", "Need RCPT command");
        default:
            return reply(503, "5.5.1", "Need MAIL command");
    }
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

void ServerSession::etrn(std::string_view node) {
    if (!options_.etrn) return refuse(node);
    asked_ = Asked::queue;
    wanted_ = step::StartQueue{std::string(node)};
}

void ServerSession::atrn(std::string_view domains) {
    if (!options_.turn) return refuse(domains);
    // RFC 2645 5.2.1
    if (!peer_.authenticated()) return answer(reply(530, "5.7.0", "Authentication required"));
    turn_domains_ = split_list(domains);
    asked_ = Asked::turn;
    wanted_ = step::CheckTurn{turn_domains_};
}

void ServerSession::refuse(std::string_view) {
    answer(reply(502, "5.5.1", "Command not available"));
}

void ServerSession::help(std::string_view) {
    answer(Reply{214, "2.0.0", {"This server supports the following commands:", Grammar::verbs()}});
}

void ServerSession::quit(std::string_view) {
    close(reply(221, "2.0.0", options_.hostname + " Service closing transmission channel"), "quit");
}

}  // namespace mailroot::smtp
