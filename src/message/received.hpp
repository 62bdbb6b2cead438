#pragma once

#include "core/clock.hpp"
#include "core/envelope.hpp"
#include "core/message_id.hpp"

#include <string>
#include <string_view>

namespace mailroot::message {

/// `Tue, 24 Nov 2026 01:48:12 +0000` in the machine's time zone (RFC 5322 3.3).
[[nodiscard]] std::string date_text(TimePoint time);

/// Where a message came from over SMTP, for its Received field.
struct ReceivedFrom {
    std::string helo;      ///< what the client called itself
    std::string address;   ///< `192.0.2.1` or `2001:db8::1`
    std::string protocol;  ///< `SMTP`, `ESMTP` … (RFC 3848)
    std::string name{};    ///< of that address, by a reverse lookup; empty where none is known
    std::string tls_protocol{};  ///< `TLSv1.3`; empty where it came in the clear
    std::string tls_cipher{};
};

/// The folded Received field of a message taken over SMTP, CRLF included (RFC 5321 4.4), with our
/// id.
[[nodiscard]] std::string received_field(const ReceivedFrom& from, std::string_view by,
                                         const MessageId& id, TimePoint when);

/// The same for a message taken from Pickup: `from mail pickup service by HOST with mailroot id ID;
/// date`.
[[nodiscard]] std::string received_from_pickup(std::string_view by, const MessageId& id,
                                               TimePoint when);

/// The same for a message that we made: `by HOST with mailroot id ID; date`.
[[nodiscard]] std::string received_locally(std::string_view by, const MessageId& id,
                                           TimePoint when);

/// `Message-ID: <id@host>` with CRLF.
[[nodiscard]] std::string message_id_field(const MessageId& id, std::string_view host);

/// `Date: …` with CRLF.
[[nodiscard]] std::string date_field(TimePoint when);

}  // namespace mailroot::message
