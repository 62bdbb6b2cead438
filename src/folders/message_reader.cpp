#include "folders/message_reader.hpp"

#include <algorithm>

namespace mailroot::folders {

namespace {

constexpr std::uint64_t k_portion = 64 * 1024;

Result<std::string> portion(os::Files& files, const os::Fd& fd, std::uint64_t at, std::uint64_t end,
                            std::uint64_t most = k_portion) {
    std::string octets(std::min(most, end - at), '\0');
    const auto got = files.read(fd, at, octets);
    if (!got) return tl::unexpected(got.error());
    if (*got != octets.size()) return fail(Error::Kind::busy, "cut short while it was read");
    return octets;
}

constexpr std::uint64_t k_first_look = 16 * 1024;
constexpr std::uint64_t k_max_block = 64u << 20;

}  // namespace

Result<message::EnvelopeBlock> read_block(os::Files& files, const os::Fd& fd) {
    const auto info = files.info(fd);
    if (!info) return tl::unexpected(info.error());
    for (std::uint64_t want = k_first_look;; want *= 8) {
        auto head = portion(files, fd, 0, std::min(want, info->size), want);
        if (!head) return fail(std::move(head));
        const bool partial = head->size() < info->size;
        // Whole lines only: half a name would pass for the end of the block.
        if (partial) head->resize(head->rfind('\n') + 1);
        auto block = message::parse_envelope_block(*head);
        const bool may_go_on = partial && (!block || block->length == head->size());
        if (!may_go_on || want >= k_max_block) return block;
    }
}

CanonicalReader::CanonicalReader(os::Files& files, const os::Fd& fd, std::string place,
                                 std::uint64_t start, const os::FileInfo& info)
    : files_(files), fd_(fd), place_(std::move(place)), start_(start), info_(info), at_(start) {}

Result<std::string> CanonicalReader::next() {
    // No look at the mtime here: settling another recipient of the same message changes it.
    if (at_ >= info_.size) return std::string();
    auto octets = portion(files_, fd_, at_, info_.size);
    if (!octets) return fail(std::move(octets), place_);
    at_ += octets->size();
    return octets;
}

PickupReader::PickupReader(os::Files& files, const os::Fd& fd, std::string place,
                           const os::FileInfo& scanned, const message::PickupMessage& message,
                           std::string added)
    : files_(files),
      fd_(fd),
      place_(std::move(place)),
      scanned_(scanned),
      canonicalizer_(message),
      added_(std::move(added)),
      size_(added_.size() + message.size) {}

Result<std::string> PickupReader::next() {
    std::string out = std::exchange(added_, {});
    while (out.empty() && at_ < scanned_.size) {
        auto octets = portion(files_, fd_, at_, scanned_.size);
        if (!octets) return fail(std::move(octets), place_);
        at_ += octets->size();
        canonicalizer_.feed(*octets, out);
    }
    if (at_ == scanned_.size && !finished_) {
        // Before the last octets go out, not after: torn mail must not look complete.
        finished_ = true;
        if (auto same = check_unchanged(); !same) return fail(std::move(same), place_);
        canonicalizer_.finish(out);
    }
    return out;
}

Result<void> PickupReader::check_unchanged() {
    const auto now = files_.info(fd_);
    if (!now) return tl::unexpected(now.error());
    if (!now->unchanged_since(scanned_)) {
        return fail(Error::Kind::busy, "written to while it was sent");
    }
    return {};
}

}  // namespace mailroot::folders
