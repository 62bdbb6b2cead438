#include "message/pickup_text.hpp"

#include <algorithm>
#include <utility>

namespace mailroot::message {

namespace {

constexpr std::string_view k_crlf = "\r\n";
constexpr std::size_t k_start = 4;  // octets that tell UTF-16 and a BOM

/// A byte order mark, or ASCII with a NUL before or behind each character.
bool is_utf16(std::string_view start) {
    if (start.starts_with("\xff\xfe") || start.starts_with("\xfe\xff")) return true;
    if (start.size() < k_start) return false;
    const auto nul = [&](std::size_t i) { return start[i] == '\0'; };
    return nul(0) == nul(2) && nul(1) == nul(3) && nul(0) != nul(1);
}

bool is_continuation(std::string_view line) {
    return line.front() == ' ' || line.front() == '\t';
}

bool is_bcc(std::string_view name) {
    return equal_ignoring_case(name, "Bcc") || equal_ignoring_case(name, "Resent-Bcc");
}

}  // namespace

template <class Emit>
void LineEnds::feed(std::string_view octets, Emit emit) {
    if (octets.empty()) return;
    std::size_t run = 0;
    if (std::exchange(after_cr_, false)) {
        emit(k_crlf);
        run = octets.front() == '\n' ? 1 : 0;
    }
    std::size_t cr = octets.find('\r', run);
    std::size_t lf = octets.find('\n', run);
    while (cr != lf) {  // both npos: no line end is left
        const bool is_crlf = cr < lf && lf - cr == 1;
        const std::size_t end = std::min(cr, lf);
        const std::size_t next = end + (is_crlf ? 2 : 1);
        if (!is_crlf) {
            emit(octets.substr(run, end - run));
            run = next;
            // A CR at the end of the portion waits for the LF that may follow.
            after_cr_ = end == cr && next == octets.size();
            if (!after_cr_) emit(k_crlf);
        }
        if (cr < next) cr = octets.find('\r', next);
        if (lf < next) lf = octets.find('\n', next);
    }
    emit(octets.substr(run));
    at_line_start_ = octets.back() == '\n' || octets.back() == '\r';
}

template <class Emit>
void LineEnds::finish(Emit emit) {
    if (after_cr_ || !at_line_start_) emit(k_crlf);
}

void DotLines::feed(std::string_view text) {
    run_ = 0;
    for (std::size_t at = 0; at < text.size();) at = step(text, at);
    flush(text, text.size(), text.size());
}

void DotLines::finish() {
    if (held_) release(true);
}

/// Reads on from `at` in the present state and returns where it got to.
std::size_t DotLines::step(std::string_view text, std::size_t at) {
    switch (state_) {
        case State::line_start:
            return start_line(text, at);
        case State::in_line: {
            const std::size_t end = text.find('\n', at);
            if (end == std::string_view::npos) return text.size();
            state_ = State::line_start;
            return end + 1;
        }
        case State::dot:
            if (text[at] == '\r') {
                state_ = State::lone_dot_lf;
                run_ = at + 1;
                return at + 1;
            }
            output_.leading_dot(text[at] == '.');
            state_ = State::in_line;
            return at;
        case State::lone_dot_lf:
            held_ = true;
            break;
        case State::empty_line_lf:
            ++held_empty_lines_;
            break;
    }
    state_ = State::line_start;
    run_ = at + 1;
    return at + 1;
}

std::size_t DotLines::start_line(std::string_view text, std::size_t at) {
    if (held_ && text[at] == '\r') {
        state_ = State::empty_line_lf;
        run_ = at + 1;
        return at + 1;
    }
    if (held_) release(false);
    if (text[at] != '.') {
        state_ = State::in_line;
        return at;
    }
    flush(text, at, at + 1);
    state_ = State::dot;
    return at + 1;
}

/// Gives out what is left before `end`; the next run begins at `next`.
void DotLines::flush(std::string_view text, std::size_t end, std::size_t next) {
    if (run_ < end) output_.text(text.substr(run_, end - run_));
    run_ = next;
}

void DotLines::release(bool last) {
    output_.lone_dot(last);
    for (; held_empty_lines_ > 0; --held_empty_lines_) output_.text(k_crlf);
    held_ = false;
}

PickupText::PickupText(bool keep_bcc, PickupOutput& output)
    : keep_bcc_(keep_bcc), output_(output), dot_lines_(output) {}

Result<void> PickupText::feed(std::string_view octets) {
    if (!started_) {
        const std::size_t taken = std::min(octets.size(), k_start - start_.size());
        start_ += octets.substr(0, taken);
        octets.remove_prefix(taken);
        if (start_.size() == k_start) start();
    }
    if (started_) line_ends_.feed(octets, [this](std::string_view text) { take(text); });
    return outcome();
}

Result<void> PickupText::finish() {
    if (!started_) start();
    line_ends_.finish([this](std::string_view text) { take(text); });
    if (!in_body_) {
        if (head_.lines == 0) refuse("not a header field");
        end_header();
    }
    if (!error_) dot_lines_.finish();
    return outcome();
}

/// Judges the first octets and hands them on without a BOM.
void PickupText::start() {
    started_ = true;
    if (is_utf16(start_)) refuse("the file is UTF-16, mail is ASCII or UTF-8");
    const std::string_view octets = start_;
    line_ends_.feed(octets.substr(octets.starts_with("\xef\xbb\xbf") ? 3 : 0),
                    [this](std::string_view text) { take(text); });
}

void PickupText::take(std::string_view text) {
    if (!in_body_ && !error_) text.remove_prefix(take_header(text));
    if (in_body_ && !error_) dot_lines_.feed(text);
}

/// Takes lines until the header ends or the text does; returns the octets taken.
std::size_t PickupText::take_header(std::string_view text) {
    std::size_t taken = 0;
    while (taken < text.size() && !in_body_ && !error_) {
        const std::size_t lf = text.find('\n', taken);
        const std::size_t end = lf == std::string_view::npos ? text.size() : lf + 1;
        head_.text += text.substr(taken, end - taken);
        taken = end;
        if (head_.text.size() > k_max_header) {
            refuse("header larger than 1 MiB");
        } else if (head_.text.ends_with('\n')) {
            take_header_line();
        }
    }
    return taken;
}

void PickupText::take_header_line() {
    const std::string_view line = std::string_view(head_.text).substr(line_);
    if (line.find('\0') != std::string_view::npos) return refuse("NUL in the header");
    const bool first = head_.lines == 0;
    if (line != k_crlf && (is_continuation(line) ? !first : parse_field(line).has_value())) {
        ++head_.lines;
        line_ = head_.text.size();
        return;
    }
    if (first) return refuse("not a header field");
    // A line that is no field is the first of the body (as Postfix has it).
    if (line != k_crlf) first_line_ = line;
    head_.text.resize(line_);
    end_header();
}

void PickupText::end_header() {
    if (error_) return;
    in_body_ = true;
    auto block = parse_envelope_block(head_.text);
    if (!block) {
        error_ = std::move(block).error();
        return;
    }
    head_.block = *std::move(block);
    const std::string_view text = head_.text;
    const auto block_text = text.substr(0, head_.block.length);
    head_.block_lines = static_cast<int>(std::ranges::count(block_text, '\n'));
    head_.header = parse_header(text.substr(head_.block.length));
    if (auto taken = output_.head(head_); !taken) {
        error_ = std::move(taken).error();
        return;
    }
    dot_lines_.feed(canonical_header());
    dot_lines_.feed(k_crlf);
    output_.body(head_.lines + (first_line_.empty() ? 2 : 1));
    dot_lines_.feed(first_line_);
}

std::string PickupText::canonical_header() const {
    std::string text;
    for (const auto& field : head_.header.fields) {
        if (keep_bcc_ || !is_bcc(field.name)) text += field.whole;
    }
    return text;
}

void PickupText::refuse(std::string what) {
    if (error_) return;
    error_ = Error{Error::Kind::parse, "line " + std::to_string(head_.lines + 1) + ": " + what};
}

Result<void> PickupText::outcome() const {
    if (error_) return tl::unexpected(*error_);
    return {};
}

}  // namespace mailroot::message
