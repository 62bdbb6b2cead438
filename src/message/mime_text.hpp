#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mailroot::message {

/// The text with every control (line ends above all) as a space: what a stranger wrote cannot begin
/// a line of ours.
[[nodiscard]] std::string on_one_line(std::string_view text);

/// Breaks a line before spaces so that, where its words allow, no line is longer than 76 octets.
/// The first line already holds `column` octets; `line_break` takes the place of the space, such as
/// CRLF and a space for a header field.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t column,
                                  std::string_view line_break);

/// UTF-8 text as encoded words (RFC 2047), B or Q, whichever is shorter; each ends with a whole
/// character and is at most 75 octets long. Joined by folds; the first line already holds `column`
/// octets.
[[nodiscard]] std::string encoded_words(std::string_view text, std::size_t column);

/// Octets that come in portions as base64 in lines of 76 octets (RFC 2045 6.8).
class Base64Lines {
 public:
    /// The lines that are full.
    [[nodiscard]] std::string feed(std::string_view octets);
    /// What is left of the last one.
    [[nodiscard]] std::string finish();

 private:
    std::string pending_;
};

/// Text with CRLF line ends as quoted-printable, lines of at most 76 octets (RFC 2045 6.7).
[[nodiscard]] std::string quoted_printable(std::string_view text);

}  // namespace mailroot::message
