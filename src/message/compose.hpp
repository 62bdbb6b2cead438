#pragma once

#include "core/clock.hpp"
#include "core/message_id.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mailroot::message {

/// A message of plain text to be composed (RFC 5322, RFC 2045).
struct Draft {
    std::string from;                                          ///< as typed, display name allowed
    std::vector<std::string> to, cc;                           ///< as typed
    std::string subject;                                       ///< UTF-8
    std::string text;                                          ///< UTF-8, any line ends
    std::vector<std::pair<std::string, std::string>> headers;  ///< further fields, name and value
};

/// The message with CRLF line ends: Date, From, To, Cc, Subject, Message-ID, MIME fields; header
/// texts beyond ASCII as encoded words (RFC 2047), the text as 7bit where it is, else
/// quoted-printable.
[[nodiscard]] std::string compose(const Draft& draft, const MessageId& id,
                                  std::string_view hostname, TimePoint now);

}  // namespace mailroot::message
