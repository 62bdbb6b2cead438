/// What stands behind DATA and in the chunks of BDAT, held against a plain reading of RFC
/// 5321 4.1.1.4 and 4.5.2: the data ends at CRLF . CRLF and nowhere else.

#include "require.hpp"
#include "smtp/message_receiver.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

using namespace mailroot;
using smtp::BareNewline;
using smtp::MessageReceiver;

namespace {

constexpr std::uint64_t k_limit = 4096;

struct Message {
    std::string octets;
    bool bare = false;  ///< it had a CR or LF alone
    std::size_t taken = 0;
    bool ended = false;
};

/// CR LF for each CR, LF and CR LF.
std::string normalized(std::string_view text, bool& bare) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool pair = text.substr(i).starts_with("\r\n");
        if (pair) ++i;
        const bool alone = !pair && (text[i] == '\r' || text[i] == '\n');
        bare = bare || alone;
        if (pair || alone) {
            out += "\r\n";
        } else {
            out += text[i];
        }
    }
    return out;
}

/// By lines that end with CR LF.
Message read_plainly(std::string_view wire) {
    Message message;
    std::string lines;
    while (!message.ended) {
        const auto end = wire.find("\r\n", message.taken);
        if (end == std::string_view::npos) break;
        auto line = wire.substr(message.taken, end - message.taken);
        message.taken = end + 2;
        message.ended = line == ".";
        if (message.ended) break;
        if (line.starts_with('.')) line.remove_prefix(1);
        lines.append(line).append("\r\n");
    }
    message.octets = normalized(lines, message.bare);
    return message;
}

Message receive(MessageReceiver& receiver, std::string_view wire, std::size_t portion) {
    Message message;
    while (!wire.empty() && !receiver.ended()) {
        const std::string own(wire.substr(0, portion));
        wire.remove_prefix(own.size());
        message.taken += receiver.feed(own, message.octets);
    }
    message.ended = receiver.ended();
    if (message.ended) receiver.finish(message.octets);
    return message;
}

void check_data(std::string_view wire, BareNewline rule, std::size_t portion) {
    MessageReceiver receiver({k_limit, rule, false});
    receiver.begin_data();
    const auto message = receive(receiver, wire, portion);
    const auto expected = read_plainly(wire);
    require(message.ended == expected.ended, "the data ends at CRLF.CRLF and nowhere else");
    if (!message.ended) return;
    require(message.taken == expected.taken, "nothing behind the end is taken, and all before it");
    const bool has_nul = expected.octets.find('\0') != std::string::npos;
    const bool too_large = expected.octets.size() > k_limit;
    const bool refused = has_nul || too_large || (expected.bare && rule == BareNewline::reject);
    require(receiver.refusal().has_value() == refused, "what may not be in a message is refused");
    if (!refused)
        require(message.octets == expected.octets, "the message is what stood in the lines");
}

/// Chunks as long as their first octet says.
void check_chunks(std::string_view wire, bool binary, std::size_t portion) {
    MessageReceiver receiver({k_limit, BareNewline::normalize, binary});
    std::string plain, octets;
    while (!wire.empty()) {
        const std::size_t length = static_cast<unsigned char>(wire[0]);
        const auto chunk = wire.substr(1, length);
        wire.remove_prefix(1 + chunk.size());
        receiver.begin_chunk(chunk.size());
        const auto part = receive(receiver, chunk, portion);
        require(receiver.ended() && part.taken == chunk.size(),
                "a chunk is as long as it is said to be");
        plain += chunk;
        octets += part.octets;
        if (!binary) break;  // the receiver ends a text with its last chunk
    }
    receiver.finish(octets);
    bool bare = false;
    auto expected = binary ? plain : normalized(plain, bare);
    const bool refused =
        expected.size() > k_limit || (!binary && plain.find('\0') != std::string::npos);
    require(receiver.refusal().has_value() == refused, "what may not be in a message is refused");
    if (refused) return;
    // A text that does not end a line is given one.
    if (!binary && !expected.empty() && !expected.ends_with("\r\n")) expected += "\r\n";
    require(octets == expected, "the message is what stood in the chunks");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view wire(reinterpret_cast<const char*>(data) + 2, size - 2);
    const bool first = (data[0] & 1) != 0;
    const std::size_t portion = 1 + data[1] % 64;
    if ((data[0] & 2) != 0) {
        check_chunks(wire, first, portion);
    } else {
        check_data(wire, first ? BareNewline::reject : BareNewline::normalize, portion);
    }
    return 0;
}
