#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mailroot::message {

/// Takes the dots out of the octets behind DATA (RFC 5321 4.5.2). CRLF.CRLF ends them and nothing
/// else does: a bare CR or LF is an octet like others here, and made a line end only behind this
/// (LineEndings), so that no second message can be smuggled past us or on to the next host.
class DataDecoder {
 public:
    /// Appends the message's octets of `wire` to `out` and returns how many octets of `wire` were
    /// taken: all of them until done(), then those up to the end of the final CRLF.
    std::size_t feed(std::string_view wire, std::string& out);
    [[nodiscard]] bool done() const { return state_ == State::done; }

 private:
    enum class State { line_start, in_line, after_cr, dot, dot_cr, done };

    std::size_t step(std::string_view wire, std::string& out);
    std::size_t copy_line(std::string_view wire, std::string& out);

    State state_ = State::line_start;
};

/// Turns a canonical message (CRLF line ends) into the octets behind DATA, the final dot included.
/// Behind a bare CR or LF, which a canonical message does not hold, a dot is doubled too: some
/// hosts would take it for the start of a line.
class DotStuffer {
 public:
    void feed(std::string_view message, std::string& wire);
    /// Appends CRLF, where the message did not end with one, and the final dot.
    void finish(std::string& wire);

 private:
    // The last two octets fed; a message begins as if a CRLF stood before it.
    char before_last_ = '\r';
    char last_ = '\n';
};

}  // namespace mailroot::message
