#include "message/line_endings.hpp"

namespace mailroot::message {

namespace {

// How far one search looks ahead: without a bound a text of CRs alone would have each of them
// search all of it for an LF.
constexpr std::size_t k_window = 1024;

/// Octets before the first CR or LF, or as many as one search covers.
std::size_t run_length(std::string_view text) {
    const auto window = text.substr(0, k_window);
    const auto line = window.substr(0, window.find('\n'));
    return line.substr(0, line.find('\r')).size();
}

}  // namespace

void LineEndings::feed(std::string_view text, std::string& out) {
    if (after_cr_ && !text.empty()) {
        after_cr_ = false;
        const bool whole = text.front() == '\n';
        end_line(out, !whole);
        if (whole) text.remove_prefix(1);
    }
    while (!text.empty()) {
        const std::size_t run = run_length(text);
        out += text.substr(0, run);
        if (run > 0) in_line_ = true;
        text.remove_prefix(run);
        if (text.empty() || (text.front() != '\r' && text.front() != '\n')) continue;
        if (text == "\r") {
            after_cr_ = true;
            return;
        }
        const bool whole = text.starts_with("\r\n");
        end_line(out, !whole);
        text.remove_prefix(whole ? 2 : 1);
    }
}

void LineEndings::finish(std::string& out) {
    if (after_cr_ || in_line_) end_line(out, after_cr_);
    after_cr_ = false;
}

void LineEndings::end_line(std::string& out, bool bare) {
    out += "\r\n";
    in_line_ = false;
    had_bare_ = had_bare_ || bare;
}

}  // namespace mailroot::message
