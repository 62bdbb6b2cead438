#pragma once

#include "core/result.hpp"

#include <string>
#include <string_view>

namespace mailroot {

/// A mailbox as SMTP names it (RFC 5321 4.1.2), in the spelling it came in. Empty is the null
/// reverse path `<>`.
struct Address {
    std::string local_part;  ///< as written, quotes included: `"a b"`
    std::string domain;      ///< `example.com`, `[192.0.2.1]`, or empty for a bare `postmaster`

    [[nodiscard]] bool is_null() const { return local_part.empty() && domain.empty(); }

    /// `local@domain` without angle brackets; empty for the null reverse path.
    [[nodiscard]] std::string text() const;

    /// Equal as mailboxes: the domain without regard to case, the local part exactly (RFC
    /// 5321 2.4).
    friend bool operator==(const Address& a, const Address& b);
};

/// One mailbox without brackets: dot-string or quoted local part, then a domain or an address
/// literal. UTF-8 is let through in both (RFC 6531). A name without `@` is a local part alone.
/// Fails with Kind::parse and what is wrong; refuses controls, spaces outside quotes, empty labels,
/// and what is longer than RFC 5321 4.5.3.1 allows (64, 255).
Result<Address> parse_address(std::string_view text);

/// A path as it stands behind `MAIL FROM:` and `RCPT TO:`: `<a@b>`, `<@relay:a@b>` (the source
/// route is dropped, RFC 5321 appendix C), `<>` for the null reverse path. `length` is set to the
/// octets taken, so that the caller can read on with the parameters.
Result<Address> parse_path(std::string_view text, std::size_t& length);

/// ASCII letters alone are folded, as in host names and header names; the locale has no say.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Whether `domain` is the one that `pattern` names or, where that is `*.example.com`, is below it.
[[nodiscard]] bool matches_domain(std::string_view pattern, std::string_view domain);

/// The text with ASCII capitals made small.
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace mailroot
