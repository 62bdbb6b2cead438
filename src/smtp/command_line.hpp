#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// Cuts the octets of a client into command lines. A line ends with CRLF; a bare LF is let through,
/// as most servers do, for a command carries no message that could be smuggled in.
class CommandLineReader {
 public:
    /// Text of the longest command. RFC 5321 4.5.3.1.4 asks for 512; parameters add to it.
    static constexpr std::size_t k_max_line = 2048;
    /// Of the longest answer to a challenge (RFC 4954 4).
    static constexpr std::size_t k_max_response = 12'288;

    /// Takes octets off the front of `wire`, up to the end of a line at most. True when a line is
    /// whole; it stands in line() until the next call. `most` is the length of text that is taken.
    bool take(std::string_view& wire, std::size_t most);

    /// Whether a line has begun and is not whole.
    [[nodiscard]] bool has_part() const { return begun_ && !whole_; }

    /// The line without its end; only a beginning where it is too_long().
    [[nodiscard]] const std::string& line() const { return line_; }
    [[nodiscard]] bool too_long() const { return too_long_; }

 private:
    std::string line_;
    bool too_long_ = false;
    bool begun_ = false;
    bool whole_ = false;
};

}  // namespace mailroot::smtp
