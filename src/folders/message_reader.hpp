#pragma once

#include "core/result.hpp"
#include "message/envelope_block.hpp"
#include "message/pickup_message.hpp"
#include "os/files.hpp"

#include <cstdint>
#include <string>

namespace mailroot::folders {

/// The envelope block at the start of a file, however long it is (up to 64 MiB).
Result<message::EnvelopeBlock> read_block(os::Files& files, const os::Fd& fd);

/// Reads a message's octets once, from its header on: canonical, without envelope block. Blocks.
class MessageReader {
 public:
    virtual ~MessageReader() = default;

    /// Octets in all.
    [[nodiscard]] virtual std::uint64_t size() const = 0;

    /// The next portion, empty at the end. Kind::busy where somebody wrote to the file meanwhile.
    virtual Result<std::string> next() = 0;
};

/// Appends all that `reader` gives to a file in the making (`os::NewFile`, `NewMessage`).
template <class File>
Result<void> copy_all(MessageReader& reader, File& file) {
    for (;;) {
        auto octets = reader.next();
        if (!octets) return fail(std::move(octets));
        if (octets->empty()) return {};
        MAILROOT_TRY(file.append(*octets));
    }
}

/// Reads a file of Queue, which is canonical, from `start` on.
class CanonicalReader final : public MessageReader {
 public:
    /// `files` and `fd` must outlive the reader; `place` names the file in errors.
    CanonicalReader(os::Files& files, const os::Fd& fd, std::string place, std::uint64_t start,
                    const os::FileInfo& info);

    [[nodiscard]] std::uint64_t size() const override { return info_.size - start_; }
    Result<std::string> next() override;

 private:
    os::Files& files_;
    const os::Fd& fd_;
    const std::string place_;
    const std::uint64_t start_;
    const os::FileInfo info_;
    std::uint64_t at_;
};

/// Reads a file taken from Pickup and makes it canonical on the way, with `added` (whole header
/// fields) in front. At the end it looks whether the file is still the one that was scanned.
class PickupReader final : public MessageReader {
 public:
    /// `files` and `fd` must outlive the reader; `place` names the file in errors.
    PickupReader(os::Files& files, const os::Fd& fd, std::string place, const os::FileInfo& scanned,
                 const message::PickupMessage& message, std::string added);

    [[nodiscard]] std::uint64_t size() const override { return size_; }
    Result<std::string> next() override;

 private:
    Result<void> check_unchanged();

    os::Files& files_;
    const os::Fd& fd_;
    const std::string place_;
    const os::FileInfo scanned_;
    message::PickupCanonicalizer canonicalizer_;
    std::string added_;
    const std::uint64_t size_;
    std::uint64_t at_ = 0;
    bool finished_ = false;
};

}  // namespace mailroot::folders
