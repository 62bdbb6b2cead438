#pragma once

#include "core/result.hpp"
#include "message/envelope_block.hpp"
#include "message/header.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mailroot::message {

/// What stands before the body of a pickup file.
struct PickupHead {
    std::string text;     ///< envelope block and header, CRLF, without BOM and blank line
    int lines = 0;        ///< of `text`
    EnvelopeBlock block;  ///< its length is where the header begins in `text`
    int block_lines = 0;  ///< to be added to the line of a field
    Header header;        ///< views into `text`
};

/// Takes the canonical message as PickupText finds it, in order. Whether a dot is part of the
/// message is left to the taker, since it is known at the end of the file only.
class PickupOutput {
 public:
    virtual ~PickupOutput() = default;

    /// Called first, with what the message begins with; an error ends the reading.
    virtual Result<void> head(const PickupHead& head) = 0;
    /// The body follows, it begins on this line of the file.
    virtual void body(int line) = 0;
    /// Octets of the message, CRLF line ends.
    virtual void text(std::string_view octets) = 0;
    /// A dot at the start of a line that holds more; `doubled` where the next octet is a dot too.
    virtual void leading_dot(bool doubled) = 0;
    /// A line that is a dot and nothing else, with its CRLF; `last` where only empty lines follow.
    virtual void lone_dot(bool last) = 0;
};

/// Turns LF, CR and CRLF into CRLF and gives the last line one. Its templates are defined where
/// they are used, in pickup_text.cpp.
class LineEnds {
 public:
    /// Calls `emit` with runs of octets, as long as the input allows.
    template <class Emit>
    void feed(std::string_view octets, Emit emit);
    template <class Emit>
    void finish(Emit emit);

 private:
    bool after_cr_ = false;
    bool at_line_start_ = true;
};

/// Finds the lines that begin with a dot in text with CRLF line ends.
class DotLines {
 public:
    explicit DotLines(PickupOutput& output) : output_(output) {}
    void feed(std::string_view text);
    void finish();

 private:
    enum class State { line_start, in_line, dot, lone_dot_lf, empty_line_lf };

    std::size_t step(std::string_view text, std::size_t at);
    std::size_t start_line(std::string_view text, std::size_t at);
    void flush(std::string_view text, std::size_t end, std::size_t next);
    void release(bool last);

    PickupOutput& output_;
    State state_ = State::line_start;
    std::size_t run_ = 0;  ///< where the octets begin that were not given out yet
    bool held_ = false;    ///< a lone dot that may turn out to be the last line
    std::size_t held_empty_lines_ = 0;
};

/// Reads a pickup file in any portions: BOM, envelope block, header, body. The one place that knows
/// what of a file is message; scanner and canonicalizer both listen to it.
class PickupText {
 public:
    static constexpr std::size_t k_max_header = 1024 * 1024;

    /// `output` must outlive this.
    PickupText(bool keep_bcc, PickupOutput& output);

    /// Kind::parse, "line N: …"; after that every call gives the same error.
    Result<void> feed(std::string_view octets);
    Result<void> finish();

 private:
    void start();
    void take(std::string_view text);
    std::size_t take_header(std::string_view text);
    void take_header_line();
    void end_header();
    void refuse(std::string what);
    [[nodiscard]] std::string canonical_header() const;
    [[nodiscard]] Result<void> outcome() const;

    bool keep_bcc_;
    PickupOutput& output_;
    std::optional<Error> error_;
    std::string start_;  ///< the first octets, until they tell the encoding
    bool started_ = false;
    LineEnds line_ends_;
    PickupHead head_;
    std::size_t line_ = 0;    ///< where the last line of head_.text begins
    std::string first_line_;  ///< of the body, where it ended the header
    bool in_body_ = false;
    DotLines dot_lines_;
};

}  // namespace mailroot::message
