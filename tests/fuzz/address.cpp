/// Addresses, paths, and the lines of an envelope block: what is read can be written and read
/// again.

#include "core/address.hpp"

#include "message/address_list.hpp"
#include "message/envelope_block.hpp"
#include "require.hpp"

#include <algorithm>
#include <cstdint>

using namespace mailroot;

namespace {

void check(const Address& address) {
    const auto text = address.text();
    require(std::ranges::none_of(
                text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }),
            "an address has no controls");
    require(address.local_part.size() <= 64 && address.domain.size() <= 255,
            "an address is no longer than RFC 5321 4.5.3.1 allows");
    if (address.is_null()) return;
    const auto again = parse_address(text);
    require(again && *again == address, "an address reads back");
    std::size_t length = 0;
    const auto path = parse_path('<' + text + '>', length);
    require(path && *path == address && length == text.size() + 2, "a path reads back");
}

void check(const message::EnvelopeBlock& block) {
    for (const auto& recipient : block.envelope.recipients) check(recipient.address);
    check(block.envelope.reverse_path);
    const auto text = message::envelope_block(block.envelope);
    const auto again = message::parse_envelope_block(text);
    require(again && again->length == text.size(), "an envelope block reads back");
    require(message::envelope_block(again->envelope) == text,
            "an envelope block reads back the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto address = parse_address(text)) check(*address);
    std::size_t length = 0;
    if (const auto path = parse_path(text, length)) {
        require(length <= text.size(), "a path ends within its text");
        check(*path);
    }
    if (const auto list = message::parse_address_list(text))
        std::ranges::for_each(*list, [](auto& a) { check(a); });
    if (const auto list = message::parse_envelope_addresses(text, length)) {
        require(length <= text.size(), "a list ends within its text");
        for (const auto& address : *list) check(address);
    }
    const auto block = message::parse_envelope_block(text);
    if (block && block->has_sender) check(*block);
    return 0;
}
