#include "smtp/path_command.hpp"
#include "smtp/server_session.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

namespace mailroot::smtp {

namespace {

// RFC 5321 4.5.3.1.2 for a domain; nobody is called longer.
constexpr std::size_t k_max_helo = 255;

std::string_view trim(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return text.substr(0, text.find_last_not_of(' ') + 1);
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

/// The commands (RFC 5321 4.1.1) and when they are allowed (4.1.4). run() sees to it: no handler is
/// called out of order.
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
        // IIS bears with a greeting without a name, and devices that knew no other server rely on
        // it.
        Row{"HELO", &S::helo, k_always, Argument::optional, ""},
        Row{"EHLO", &S::ehlo, k_always, Argument::optional, ""},
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
            if (row.handler == &S::data && session.recipient_refused_) {
                return reply(554, "5.5.1", "No valid recipients");
            }
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

/// Runs the command, if it is one and may run now.
void ServerSession::run(std::string_view line) {
    const auto [verb, argument] = split(line);
    if (is_http(verb)) return close(reply(421, "4.7.0", "This is not an HTTP server"), line);
    const auto* row = Grammar::find(verb);
    if (row == nullptr) return answer(reply(500, "5.5.1", "Unrecognized command"));
    if (const auto refused = Grammar::refusal(*row, *this, argument)) return answer(*refused);
    (this->*row->handler)(argument);
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

}  // namespace mailroot::smtp
