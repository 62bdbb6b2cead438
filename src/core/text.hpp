#pragma once

#include <string>
#include <string_view>

namespace mailroot {

/// Spaces, tabs, and the ends of lines.
inline constexpr std::string_view k_blanks = " \t\r\n";

/// The text without blanks at its ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// The text that a quoted string stands for (RFC 5322 3.2.4); other text as it is.
[[nodiscard]] std::string unquoted(std::string_view text);

/// Takes what stands before the next `separator` off `text`, and the separator; all of it where
/// there is none.
std::string_view take_until(std::string_view& text, char separator);

/// The text with `...` where `secret` stood; an empty one stands nowhere.
[[nodiscard]] std::string without(std::string text, std::string_view secret);

}  // namespace mailroot
