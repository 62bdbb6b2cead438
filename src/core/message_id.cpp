#include "core/message_id.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace mailroot {

namespace {

using FiletimeTicks = std::chrono::duration<std::int64_t, std::ratio<1, 10'000'000>>;

// FILETIME counts from 1601-01-01, system_clock from 1970-01-01.
constexpr auto k_filetime_epoch = std::chrono::seconds{11'644'473'600};

std::uint64_t to_filetime(TimePoint time) {
    return static_cast<std::uint64_t>(
        (std::chrono::floor<FiletimeTicks>(time.time_since_epoch()) + k_filetime_epoch).count());
}

}  // namespace

std::optional<MessageId> MessageId::parse(std::string_view text) {
    const bool hex = std::ranges::all_of(
        text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (text.size() != k_length || !hex) return std::nullopt;
    MessageId id(0, 0);
    std::from_chars(text.data(), text.data() + 16, id.filetime_, 16);
    std::from_chars(text.data() + 16, text.data() + k_length, id.process_, 16);
    return id;
}

std::string MessageId::text() const {
    char digits[k_length + 1];
    std::snprintf(digits, sizeof digits, "%016llx%08x", static_cast<unsigned long long>(filetime_),
                  process_);
    return digits;
}

TimePoint MessageId::arrival() const {
    // An id made by hand may lie centuries off; the clock's range is 1677 to 2262, and less for
    // differences.
    constexpr std::uint64_t k_earliest = 0x0150'0000'0000'0000;  // in 1900
    constexpr std::uint64_t k_latest = 0x0280'0000'0000'0000;
    const FiletimeTicks ticks{
        static_cast<std::int64_t>(std::clamp(filetime_, k_earliest, k_latest))};
    return TimePoint{std::chrono::duration_cast<TimePoint::duration>(ticks - k_filetime_epoch)};
}

MessageIdSource::MessageIdSource(const Clock& clock, std::uint32_t process)
    : clock_(clock), process_(process) {}

MessageId MessageIdSource::next() {
    const std::lock_guard lock(mutex_);
    last_ = std::max(last_ + 1, to_filetime(clock_.now()));
    return MessageId(last_, process_);
}

}  // namespace mailroot
