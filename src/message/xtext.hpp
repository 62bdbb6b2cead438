#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mailroot::message {

/// RFC 3461 4: `+` and two hex digits stand for an octet. What is no xtext stays as it is.
[[nodiscard]] std::string xtext_decoded(std::string_view xtext);

/// An address beyond ASCII where ASCII alone may stand, in a parameter of SMTP or a field of a
/// report: characters that may not stand for themselves as `\x{HEX}` (RFC 6533 3,
/// utf-8-addr-xtext).
[[nodiscard]] std::string utf8_xtext(std::string_view address);

/// The address that either form of RFC 6533 3 stands for, in UTF-8; nothing where it is none.
[[nodiscard]] std::optional<std::string> utf8_xtext_decoded(std::string_view text);

}  // namespace mailroot::message
