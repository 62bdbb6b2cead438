#pragma once

#include "core/clock.hpp"

#include <compare>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace mailroot {

/// Names one message in every folder, the logs and its Message-ID, from the moment it is accepted
/// until it is settled: 24 lowercase hex digits, 16 of FILETIME (100 ns since 1601), so that names
/// sort by arrival, then 8 that tell processes apart.
class MessageId {
 public:
    static constexpr std::size_t k_length = 24;

    /// Nothing where the text is not 24 lowercase hex digits.
    static std::optional<MessageId> parse(std::string_view text);

    MessageId(std::uint64_t filetime, std::uint32_t process)
        : filetime_(filetime), process_(process) {}

    [[nodiscard]] std::string text() const;
    [[nodiscard]] TimePoint arrival()
        const;  ///< when the message was accepted or taken from Pickup

    /// For hash tables.
    [[nodiscard]] std::size_t hash() const { return filetime_ * 0x9e3779b97f4a7c15 ^ process_; }

    friend auto operator<=>(const MessageId&, const MessageId&) = default;

 private:
    std::uint64_t filetime_;
    std::uint32_t process_;
};

/// Draws ids, strictly increasing in this process even when the clock stands still or is set back.
/// May be used from several threads.
class MessageIdSource {
 public:
    /// `clock` must outlive this; `process` is 32 bits drawn at random at start.
    MessageIdSource(const Clock& clock, std::uint32_t process);

    MessageId next();

 private:
    const Clock& clock_;
    const std::uint32_t process_;
    std::mutex mutex_;
    std::uint64_t last_ = 0;
};

}  // namespace mailroot
