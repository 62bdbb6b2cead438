#pragma once

#include "core/clock.hpp"
#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/verdict.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace mailroot::message {

/// One recipient of a report and what became of it.
struct ReportedRecipient {
    Recipient recipient;
    Verdict verdict;
    bool expired =
        false;  ///< given up for its age, not refused: Status 4.4.7, no Diagnostic-Code of a peer
};

/// What a failure report says (RFC 3464), in IIS's words (IIS-SMTP.md section 12).
struct Report {
    MessageId id;          ///< the report's own
    MessageId original;    ///< the message it is about; gives Arrival-Date
    std::string hostname;  ///< Reporting-MTA, Message-ID
    Address from;          ///< postmaster@ the default domain
    Address to;            ///< the original's reverse path
    std::string envid;     ///< xtext as given in ENVID, empty: left out
    TimePoint now;
    std::vector<ReportedRecipient> recipients;  ///< at least one
};

/// The report's octets up to where the returned message begins: header, text for people,
/// message/delivery-status, and the header of the last part (`message/rfc822`, or
/// `text/rfc822-headers` where `headers_only`). CRLF line ends.
[[nodiscard]] std::string report_head(const Report& report, bool headers_only);

/// The closing boundary, to follow the returned message.
[[nodiscard]] std::string report_tail(const Report& report);

/// The enhanced status code of a verdict for the Status field: the peer's own where it gave one of
/// the right class, else one made from the class of its code (RFC 3464 2.3.4).
[[nodiscard]] std::string status_of(const Verdict& verdict);

}  // namespace mailroot::message
