#pragma once

#include "core/reply.hpp"
#include "core/result.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// Turns the octets that a server sends into replies (RFC 5321 4.2, RFC 2034). Bounded: a server
/// cannot make it hold more than one reply's worth of what was not asked for yet.
class ReplyParser {
 public:
    void feed(std::string_view octets) { pending_ += octets; }

    /// The next reply, nothing where it is not there whole yet, or Kind::protocol: what came is no
    /// SMTP. After that the connection is of no use.
    Result<std::optional<Reply>> next();

    /// Whether octets have come that no reply given out accounts for.
    [[nodiscard]] bool holds_octets() const { return !pending_.empty() || !reply_.lines.empty(); }

    /// How many of them were not looked at yet.
    [[nodiscard]] std::size_t pending() const { return pending_.size(); }

 private:
    Result<bool> take_line(std::string_view line);

    std::string pending_;
    Reply reply_;  ///< of several lines, the last of which has not come yet
};

}  // namespace mailroot::smtp
