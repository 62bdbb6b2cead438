#pragma once

#include "core/envelope.hpp"
#include "core/reply.hpp"
#include "core/result.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// `SIZE=1000`, or a keyword alone (RFC 5321 4.1.1.11). Views of the command line.
struct Parameter {
    std::string_view keyword;
    std::string_view value;
};

/// What stands behind MAIL and RCPT.
struct PathCommand {
    Address path;
    std::vector<Parameter> parameters;
};

/// Reads the argument of MAIL. Spaces behind the colon and a missing pair of brackets are let
/// through, as Postfix and IIS do. Where it is none, the reply that refuses it.
tl::expected<PathCommand, Reply> parse_mail(std::string_view argument);

/// Likewise of RCPT, where `<>` is refused.
tl::expected<PathCommand, Reply> parse_rcpt(std::string_view argument);

/// What decides which parameters of MAIL are known, and what they may say.
struct MailTerms {
    std::uint64_t message_size = 0;  ///< the limit, in octets; 0: none
    bool auth = false;               ///< AUTH is offered, so that AUTH= is known (RFC 4954 5)
};

/// Takes the parameters of MAIL into `envelope`, and what SIZE announces into `announced`. The
/// reply that refuses them, where one cannot be taken.
std::optional<Reply> take_mail_parameters(const std::vector<Parameter>& parameters,
                                          const MailTerms& terms, Envelope& envelope,
                                          std::uint64_t& announced);

/// Takes the parameters of RCPT (RFC 3461 4.1, 4.2), likewise; `utf8` where MAIL asked for
/// SMTPUTF8.
std::optional<Reply> take_rcpt_parameters(const std::vector<Parameter>& parameters, bool utf8,
                                          Recipient& recipient);

/// Why an address may not stand in a transaction, where it may not: beyond ASCII it must be UTF-8,
/// and SMTPUTF8 must have been asked for (RFC 6531 3.4).
std::optional<Reply> refuse_beyond_ascii(const Address& address, bool utf8);

}  // namespace mailroot::smtp
