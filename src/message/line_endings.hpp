#pragma once

#include <string>
#include <string_view>

namespace mailroot::message {

/// Makes every line end of a text CRLF, that of a bare CR or LF too (RFC 5321 2.3.8 allows CRLF
/// alone). So what we store and send on cannot be read in two ways.
class LineEndings {
 public:
    /// Appends `text` to `out`. A CR at its end is held back until what follows it is known.
    void feed(std::string_view text, std::string& out);

    /// The text is over: appends what was held back, and a line end where it does not have one. A
    /// second call does nothing.
    void finish(std::string& out);

    /// Whether a CR without LF or an LF without CR was met.
    [[nodiscard]] bool had_bare() const { return had_bare_; }

 private:
    void end_line(std::string& out, bool bare);

    bool after_cr_ = false;
    bool in_line_ = false;  ///< something stands behind the last line end
    bool had_bare_ = false;
};

}  // namespace mailroot::message
