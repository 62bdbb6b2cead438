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

/// Takes the parameters of MAIL into `envelope`; `message_size` is the limit, 0 for none. The reply
/// that refuses them, where one cannot be taken.
std::optional<Reply> take_mail_parameters(const std::vector<Parameter>& parameters,
                                          std::uint64_t message_size, Envelope& envelope);

/// Takes the parameters of RCPT: none is known yet.
std::optional<Reply> take_rcpt_parameters(const std::vector<Parameter>& parameters);

}  // namespace mailroot::smtp
