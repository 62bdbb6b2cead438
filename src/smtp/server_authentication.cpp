#include "smtp/server_session.hpp"

#include <optional>
#include <string>
#include <utility>

/// AUTH (RFC 4954): what the SASL mechanisms ask for, as commands and replies.
namespace mailroot::smtp {

namespace {

/// A base64 text, as octets. RFC 4954 4: `=` is an initial response that is empty.
std::optional<std::string> decoded(std::string_view text) {
    if (text == "=") return std::string();
    return decode_base64(text);
}

Reply malformed() {
    return reply(501, "5.5.2", "Cannot decode the response");
}

}  // namespace

bool ServerSession::offers_auth() const {
    return terms_.users && (peer_.encrypted() || !options_.auth_requires_tls);
}

void ServerSession::auth(std::string_view argument) {
    const auto mechanism = argument.substr(0, argument.find(' '));
    const auto rest = argument.substr(mechanism.size());
    if (!terms_.users) return answer(reply(502, "5.5.1", "AUTH is not offered"));
    if (!offers_auth()) {
        return answer(reply(538, "5.7.11", "Encryption required: STARTTLS first"));
    }
    if (!peer_.extended) return answer(reply(503, "5.5.1", "Send EHLO first"));
    if (peer_.authenticated()) return answer(reply(503, "5.5.1", "Already authenticated"));
    auto exchange = make_sasl_exchange(mechanism, terms_.users);
    if (!exchange) return answer(reply(504, "5.5.4", "Unrecognized authentication type"));

    std::optional<std::string> initial;
    if (!rest.empty()) {
        initial = decoded(rest.substr(rest.find_first_not_of(' ')));
        if (!initial) return answer(malformed());
    }
    authentication_ = {std::move(exchange), std::string(mechanism)};
    go_on(authentication_.exchange->start(std::move(initial)));
}

void ServerSession::take_response(std::string_view line) {
    if (line == "*") return end_authentication(reply(501, "5.7.0", "Authentication cancelled"));
    auto octets = decode_base64(line);
    if (!octets) return end_authentication(malformed());
    go_on(authentication_.exchange->resume(*std::move(octets)));
}

void ServerSession::password_checked(bool right) {
    if (state_ == State::closed) return;  // disconnected meanwhile
    go_on(authentication_.exchange->password_checked(right));
}

void ServerSession::go_on(SaslExchange::Step step) {
    if (const auto* challenge = std::get_if<SaslExchange::Challenge>(&step)) {
        enter(State::authenticating);
        say(reply(334, "", encode_base64(challenge->octets)));
    } else if (auto* check = std::get_if<SaslExchange::CheckPassword>(&step)) {
        wanted_ = step::CheckPassword{std::move(check->name), std::move(check->password)};
    } else if (auto* succeeded = std::get_if<SaslExchange::Succeeded>(&step)) {
        peer_.user = std::move(succeeded->name);
        log_.authenticated(peer_, authentication_.mechanism);
        end_authentication(reply(235, "2.7.0", "Authentication successful"));
    } else if (const auto& failed = std::get<SaslExchange::Failed>(step);
               failed.why == SaslExchange::Failed::Why::malformed) {
        end_authentication(malformed());
    } else {
        authentication_failed(failed.name);
    }
}

/// `name` is whom the client took itself to be.
void ServerSession::authentication_failed(const std::string& name) {
    log_.authentication_failed(peer_, authentication_.mechanism, name);
    // Whoever guesses waits, the others on this loop do not.
    wanted_ = step::Pause{options_.auth_failure_delay};
    const bool last =
        options_.auth_failures != 0 && ++tally_.failed_authentications >= options_.auth_failures;
    end_authentication(reply(535, "5.7.8", "Authentication unsuccessful"));
    if (last && state_ != State::closed) {
        close(reply(421, "4.7.0", "Too many failed authentications"),
              "too many failed authentications");
    }
}

void ServerSession::end_authentication(const Reply& reply) {
    authentication_ = {};
    enter(State::greeted);
    answer(reply);
}

}  // namespace mailroot::smtp
