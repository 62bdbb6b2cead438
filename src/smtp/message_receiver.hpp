#pragma once

#include "core/reply.hpp"
#include "message/dot_stuffing.hpp"
#include "message/line_endings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// What becomes of a CR without LF, or an LF without CR, in a message.
enum class BareNewline { normalize, reject };

/// What the octets of a message may be.
struct MessageRules {
    std::uint64_t size = 0;  ///< most octets; 0: no limit
    BareNewline bare_newline = BareNewline::normalize;
    bool binary = false;  ///< BODY=BINARYMIME: kept byte for byte (RFC 3030)
};

/// Turns what stands behind DATA or in the chunks of BDAT into the octets of the message, and sees
/// whether it can be taken. One message each.
class MessageReceiver {
 public:
    explicit MessageReceiver(MessageRules rules) : rules_(rules) {}

    /// What follows is the octets behind DATA.
    void begin_data() { form_ = Form::dots; }
    /// What follows is a chunk of so many octets (RFC 3030 2).
    void begin_chunk(std::uint64_t octets);

    /// Appends the message's octets of `wire` to `out` and gives how many octets of `wire` were
    /// taken: all of them until ended(), then those up to the final dot or the end of the chunk.
    std::size_t feed(std::string_view wire, std::string& out);

    /// The final dot was read, or the chunk is over.
    [[nodiscard]] bool ended() const;

    /// The message is over: appends what was held back. A second call does nothing.
    void finish(std::string& out);

    /// Why the message cannot be taken, as far as it was read. Its rest is to be read all the same.
    [[nodiscard]] std::optional<Reply> refusal() const;

    /// Octets of the message so far.
    [[nodiscard]] std::uint64_t octets() const { return octets_; }

 private:
    enum class Form { dots, chunk };

    void take(std::string_view octets, std::string& out);

    const MessageRules rules_;
    Form form_ = Form::dots;
    message::DataDecoder dots_;
    message::LineEndings line_endings_;
    std::uint64_t chunk_left_ = 0;
    std::uint64_t octets_ = 0;
    bool had_nul_ = false;
};

}  // namespace mailroot::smtp
