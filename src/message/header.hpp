#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::message {

/// One header field where it stands in a text (RFC 5322 2.2). Views into that text.
struct Field {
    std::string_view name;   ///< without the colon, as written
    std::string_view value;  ///< behind the colon to the last line end, folds and white space kept
    std::string_view whole;  ///< name to the last line end
    int line = 0;            ///< of the name, counted from 1
};

/// The fields of a text's header and where its body begins.
struct Header {
    std::vector<Field> fields;
    std::size_t body = 0;  ///< offset behind the blank line, or the text's end
};

/// The field that begins where `text` does, with the lines that continue it; nothing where that
/// line is no field.
[[nodiscard]] std::optional<Field> parse_field(std::string_view text);

/// Splits a header with LF or CRLF line ends. A line that is no field ends the header as Postfix
/// has it: the body begins with that line.
[[nodiscard]] Header parse_header(std::string_view text);

/// The first field of that name, without regard to case.
[[nodiscard]] std::optional<Field> find_field(const Header& header, std::string_view name);

/// The value on one line: folds taken out, white space at the ends trimmed, no CR or LF left.
[[nodiscard]] std::string unfolded(std::string_view value);

}  // namespace mailroot::message
