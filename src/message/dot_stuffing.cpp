#include "message/dot_stuffing.hpp"

namespace mailroot::message {

std::size_t DataDecoder::feed(std::string_view wire, std::string& out) {
    std::size_t at = 0;
    while (at < wire.size() && !done()) at += step(wire.substr(at), out);
    return at;
}

/// Does what the first octet of `wire` asks for in this state; gives the octets taken.
std::size_t DataDecoder::step(std::string_view wire, std::string& out) {
    const char c = wire.front();
    switch (state_) {
        case State::line_start:
            state_ = c == '.' ? State::dot : State::in_line;
            return c == '.' ? 1 : 0;
        case State::in_line:
            return copy_line(wire, out);
        case State::after_cr:
            state_ = c == '\n' ? State::line_start : State::in_line;
            if (c != '\n') return 0;
            out += c;
            return 1;
        case State::dot:  // RFC 5321 4.5.2: the first dot of a longer line is not the message's
            state_ = c == '\r' ? State::dot_cr : State::in_line;
            return c == '\r' ? 1 : 0;
        case State::dot_cr:
            state_ = c == '\n' ? State::done : State::in_line;
            if (c == '\n') return 1;
            out += '\r';
            return 0;
        case State::done:
            break;
    }
    return 0;
}

/// Copies up to the next LF, which ends the line where a CR stands before it.
std::size_t DataDecoder::copy_line(std::string_view wire, std::string& out) {
    const auto line = wire.substr(0, wire.find('\n') + 1);  // npos + 1 is 0
    if (line.empty()) {
        out += wire;
        if (wire.ends_with('\r')) state_ = State::after_cr;
        return wire.size();
    }
    out += line;
    if (line.ends_with("\r\n")) state_ = State::line_start;
    return line.size();
}

void DotStuffer::feed(std::string_view message, std::string& wire) {
    std::size_t copied = 0;
    for (std::size_t dot = message.find('.'); dot != std::string_view::npos;
         dot = message.find('.', dot + 1)) {
        const char before = dot == 0 ? last_ : message[dot - 1];
        if (before != '\n' && before != '\r') continue;
        wire += message.substr(copied, dot - copied);
        wire += '.';
        copied = dot;
    }
    wire += message.substr(copied);
    if (message.empty()) return;
    before_last_ = message.size() > 1 ? message[message.size() - 2] : last_;
    last_ = message.back();
}

void DotStuffer::finish(std::string& wire) {
    const bool line_ended = before_last_ == '\r' && last_ == '\n';
    wire += line_ended ? ".\r\n" : "\r\n.\r\n";
}

}  // namespace mailroot::message
