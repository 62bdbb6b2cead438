#include "smtp/message_receiver.hpp"

#include <algorithm>

namespace mailroot::smtp {

void MessageReceiver::begin_chunk(std::uint64_t octets) {
    form_ = Form::chunk;
    chunk_left_ = octets;
}

std::size_t MessageReceiver::feed(std::string_view wire, std::string& out) {
    if (form_ == Form::dots) {
        std::string octets;
        octets.reserve(wire.size());
        const auto taken = dots_.feed(wire, octets);
        take(octets, out);
        return taken;
    }
    const auto part = wire.substr(0, std::min<std::uint64_t>(chunk_left_, wire.size()));
    chunk_left_ -= part.size();
    take(part, out);
    return part.size();
}

bool MessageReceiver::ended() const {
    return form_ == Form::dots ? dots_.done() : chunk_left_ == 0;
}

void MessageReceiver::finish(std::string& out) {
    if (rules_.binary) return;
    const auto before = out.size();
    line_endings_.finish(out);
    octets_ += out.size() - before;
}

void MessageReceiver::take(std::string_view octets, std::string& out) {
    const auto before = out.size();
    if (rules_.binary) {
        out += octets;
    } else {
        had_nul_ = had_nul_ || octets.find('\0') != std::string_view::npos;
        line_endings_.feed(octets, out);
    }
    octets_ += out.size() - before;
}

std::optional<Reply> MessageReceiver::refusal() const {
    if (rules_.size != 0 && octets_ > rules_.size) {
        return reply(552, "5.3.4", "Message size exceeds fixed maximum message size");
    }
    // RFC 5321 4.5.2 leaves NUL to BINARYMIME (RFC 3030 3).
    if (had_nul_) return reply(554, "5.6.0", "A message may not hold NUL octets");
    if (line_endings_.had_bare() && rules_.bare_newline == BareNewline::reject) {
        return reply(554, "5.6.0", "Lines end with CR LF, not with a bare CR or LF");
    }
    return std::nullopt;
}

}  // namespace mailroot::smtp
