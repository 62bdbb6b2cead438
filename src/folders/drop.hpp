#pragma once

#include "core/envelope.hpp"
#include "core/message_id.hpp"
#include "core/result.hpp"
#include "folders/hand_over.hpp"
#include "folders/mailroot.hpp"
#include "folders/new_message.hpp"

#include <cstdint>

namespace mailroot::folders {

/// The folder in which mail for local domains lands: one file a message, whoever of its recipients
/// is local.
class Drop {
 public:
    explicit Drop(const Mailroot& mailroot) : mailroot_(mailroot) {}

    /// A message that comes from nowhere on this disk, to be filled and committed.
    [[nodiscard]] Result<NewMessage> begin(const MessageId& id, const Envelope& envelope) const;

    /// A message that comes from Queue: the file is ready; settle the source, then show().
    [[nodiscard]] Result<HandOver> prepare(const MessageId& id, const Envelope& envelope,
                                           MessageReader& reader) const;

    /// Makes a prepared file visible as `<id>.eml`, or under `spare` where that name is taken.
    Result<void> show(HandOver& file, const MessageId& id, const MessageId& spare) const;

    /// Octets of all files there.
    [[nodiscard]] Result<std::uint64_t> octets() const;

 private:
    const Mailroot& mailroot_;
};

}  // namespace mailroot::folders
