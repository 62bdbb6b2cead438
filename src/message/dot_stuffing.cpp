#include "message/dot_stuffing.hpp"

#include <algorithm>

namespace mailroot::message {

namespace {

// How far one search looks ahead: without a bound a message of CRs alone would have each of them
// search the whole portion for an LF.
constexpr std::size_t k_window = 1024;

/// Octets before the first CR or LF, or as many as one search covers.
std::size_t run_length(std::string_view text) {
    const auto window = text.substr(0, k_window);
    const auto line = window.substr(0, window.find('\n'));
    return std::min(line.find('\r'), line.size());
}

}  // namespace

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
            return take_if(c == '.', State::dot);
        case State::in_line:
            return copy_line(wire, out);
        case State::after_cr:  // a bare CR ends a line of the message too, but none of the protocol
            out += "\r\n";
            return take_if(c == '\n', State::line_start);
        case State::dot:  // RFC 5321 4.5.2: the first dot of a longer line is not the message's
            return take_if(c == '\r', State::dot_cr);
        case State::dot_cr:
            if (c != '\n') out += "\r\n";
            return take_if(c == '\n', State::done);
        case State::done:
            break;
    }
    return 0;
}

/// Copies up to the next line end, and over it where that is a CRLF.
std::size_t DataDecoder::copy_line(std::string_view wire, std::string& out) {
    const std::size_t run = run_length(wire);
    if (wire.substr(run, 2) == "\r\n") {
        out += wire.substr(0, run + 2);
        state_ = State::line_start;
        return run + 2;
    }
    if (run > 0) {
        out += wire.substr(0, run);
        return run;
    }
    if (wire.front() == '\r') {
        state_ = State::after_cr;
    } else {
        out += "\r\n";  // a bare LF
    }
    return 1;
}

/// Takes one octet and goes on to `next`, or none: it is looked at again as part of a line.
std::size_t DataDecoder::take_if(bool expected, State next) {
    state_ = expected ? next : State::in_line;
    return expected ? 1 : 0;
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
