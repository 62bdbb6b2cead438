#pragma once

#include "core/clock.hpp"
#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/verdict.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace mailroot::message {

/// What became of a recipient, the gravest first.
enum class Fate {
    failed,
    expired,    ///< given up for its age, not refused
    looped,     ///< given up for the hosts that the message came through
    delayed,    ///< tried on
    relayed,    ///< handed to a host that reports nothing (RFC 3464 2.3.3)
    delivered,  ///< in Drop
};

[[nodiscard]] constexpr bool is_failure(Fate fate) {
    return fate < Fate::delayed;
}

/// One recipient of a report and what became of it.
struct ReportedRecipient {
    Recipient recipient;
    Verdict verdict;
    Fate fate = Fate::failed;
    TimePoint retry_until{};  ///< of one that is delayed
};

/// How the message that a report is about is returned.
struct Returned {
    bool whole = true;            ///< else its header alone
    Body body = Body::seven_bit;  ///< of what is returned
    bool utf8 = false;            ///< an internationalized message (RFC 6532)
};

/// What a report says (RFC 3464), in IIS's words (IIS-SMTP.md section 12). About and to addresses
/// beyond ASCII it follows RFC 6533.
struct Report {
    MessageId id;          ///< the report's own
    MessageId original;    ///< the message it is about; gives Arrival-Date
    std::string hostname;  ///< Reporting-MTA, Message-ID
    Address from;          ///< postmaster@ the default domain
    Address to;            ///< the original's reverse path
    Address reply_to;      ///< null: left out
    std::string envid;     ///< xtext as given in ENVID, empty: left out
    TimePoint now;
    Returned returned;
    std::vector<ReportedRecipient> recipients;  ///< at least one
};

/// Whether it is an internationalized message itself: the address it goes to has no other form.
/// What it is about is told in ASCII otherwise, so that it can go to any host.
[[nodiscard]] bool needs_utf8(const Report& report);

/// What its octets hold, for `BODY=`.
[[nodiscard]] Body body_of(const Report& report);

/// The report's octets up to where the returned message begins: header, text for people, status for
/// programs, and the header of the last part. CRLF line ends.
[[nodiscard]] std::string report_head(const Report& report);

/// Whether the returned message is to follow as base64.
[[nodiscard]] bool returns_base64(const Report& report);

/// The closing boundary, to follow the returned message.
[[nodiscard]] std::string report_tail(const Report& report);

/// The enhanced status code of a verdict for the Status field: the peer's own where it gave one of
/// the right class, else one made from the class of its code (RFC 3464 2.3.4).
[[nodiscard]] std::string status_of(const Verdict& verdict);

}  // namespace mailroot::message
