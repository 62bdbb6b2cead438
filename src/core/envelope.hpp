#pragma once

#include "core/address.hpp"

#include <string>
#include <vector>

namespace mailroot {

/// What a message's octets may hold, from `BODY=` (RFC 6152, RFC 3030).
enum class Body { seven_bit, eight_bit_mime, binary_mime };

/// One RCPT of an envelope.
struct Recipient {
    Address address;
    std::string
        notify;  ///< `NOTIFY=` as given, such as `SUCCESS,FAILURE`; empty: not given (RFC 3461 4.1)
    std::string
        orcpt;  ///< `ORCPT=` as given, such as `rfc822;a@b`; empty: not given (RFC 3461 4.2)
    bool settled = false;  ///< delivered, failed or handed on already: `x-received:` on disk
};

/// Who sent a message and who is to have it, apart from what its header says (RFC 5321 2.3.1).
struct Envelope {
    Address reverse_path;  ///< null for reports
    Body body = Body::seven_bit;
    std::string ret;    ///< `RET=` as given, `FULL` or `HDRS`; empty: not given
    std::string envid;  ///< `ENVID=` as given, xtext; empty: not given
    std::vector<Recipient> recipients;
    bool utf8 = false;  ///< `SMTPUTF8`: addresses or header may hold UTF-8 (RFC 6531)
};

/// What a sender may ask to be told of a recipient (RFC 3461 4.1).
enum class Event { success, failure, delay };

/// Whether the sender is to be told. Where nothing is asked for, of failure, and of delay as IIS
/// does.
[[nodiscard]] bool wants_report(const Recipient& recipient, Event event);

/// Whether somebody is to be told that a recipient has the message: not of a report, which has no
/// sender.
[[nodiscard]] bool wants_success_report(const Envelope& envelope);

}  // namespace mailroot
