#pragma once

#include "core/envelope.hpp"
#include "core/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace mailroot::message {

/// The `x-sender:` and `x-receiver:` lines at the top of a mailroot file (DESIGN section 3).
struct EnvelopeBlock {
    Envelope envelope;        ///< recipients deduplicated, in the order of their lines
    bool has_sender = false;  ///< an x-sender line was there; `<>` counts
    std::size_t length = 0;   ///< octets up to the first line that is not envelope, a BOM included

    /// For each recipient the offset of the octet that is overwritten with 'd' to settle it (the
    /// last of `x-receiver`). Empty where recipients share or repeat a line, which only foreign
    /// files do.
    std::vector<std::size_t> marks;
};

/// Reads the block at the start of `text`: names without regard to case, any order, folded lines,
/// `Name <a@b>`, comma lists, repeats; `x-received:` lines give settled recipients. A UTF-8 BOM is
/// skipped. A text without a block gives an empty one. Of several x-sender lines the first counts,
/// of a repeated recipient the first line's parameters; parameters we do not know are skipped.
/// Fails with Kind::parse and "line 3: …". `text` is to end behind a line; where `length` equals
/// `text.size()` the block may go on behind what was given.
Result<EnvelopeBlock> parse_envelope_block(std::string_view text);

/// The block as we write it to Queue and Badmail: one line per recipient, parameters where given
/// (`BODY=8BITMIME` only where it is not 7BIT, `SMTPUTF8` without a value), CRLF. Settled
/// recipients become `x-received:` lines.
[[nodiscard]] std::string envelope_block(const Envelope& envelope);

/// The block as IIS writes it to Drop: bare addresses, no parameters, the unsettled recipients
/// alone.
[[nodiscard]] std::string drop_block(const Envelope& envelope);

}  // namespace mailroot::message
