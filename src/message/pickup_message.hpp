#pragma once

#include "core/envelope.hpp"
#include "core/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace mailroot::message {

/// Whether a line that begins with a dot lost one to its writer's SMTP encoding (`pickup.dots`).
enum class Dots {
    automatic,  ///< look: a file of ours is raw; else unstuff where every dotted line begins with
                ///< two dots
    unstuff,    ///< as IIS does: drop one leading dot of each line
    raw,        ///< the file is the message
};

/// How pickup files are read.
struct PickupRules {
    Dots dots = Dots::automatic;
    bool keep_bcc = false;       ///< IIS sent Bcc fields along; we do not unless told to
    std::uint64_t max_size = 0;  ///< octets of the canonical message; 0: no limit
    std::string default_domain;  ///< completes an address without a domain, as IIS does
};

/// What reading a pickup file once has found out: enough to announce it exactly and to send it
/// while reading it a second time.
struct PickupMessage {
    Envelope envelope;     ///< from the block, else from the header; body set from the octets seen
    bool unstuff = false;  ///< the decision about its dots
    bool keep_bcc = false;
    bool has_date = false;
    bool has_message_id = false;
    std::uint64_t size = 0;   ///< octets that PickupCanonicalizer will give
    int received_fields = 0;  ///< hops so far
};

/// Reads a pickup file: envelope block or header fallback (Sender, else From; To, Cc, Bcc; their
/// Resent- forms where present), LF, CRLF or CR, a UTF-8 BOM. Memory is bounded by the header, not
/// the body.
class PickupScanner {
 public:
    explicit PickupScanner(PickupRules rules);
    ~PickupScanner();

    /// The next octets of the file, in any portions. Fails with Kind::parse and "line 3: …" as soon
    /// as the file cannot be mail: UTF-16, a NUL in the header, an unusable address, over the size
    /// limit.
    Result<void> feed(std::string_view octets);

    /// At the end of the file. Fails where there is no sender, no recipient or no header.
    Result<PickupMessage> finish();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Gives the canonical message of a file that was scanned before: no envelope block, no Bcc, CRLF
/// line ends, dots as decided, a blank line behind the header and a CRLF at the very end.
class PickupCanonicalizer {
 public:
    explicit PickupCanonicalizer(const PickupMessage& message);
    ~PickupCanonicalizer();

    /// Appends to `out` what the next octets of the file give.
    void feed(std::string_view octets, std::string& out);
    /// Appends what was held back; the file is at its end.
    void finish(std::string& out);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace mailroot::message
