#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// On one line, as SASL has it (RFC 4648 4).
[[nodiscard]] std::string encode_base64(std::string_view octets);

/// Nothing where the text is no base64: its length, its alphabet, its padding.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace mailroot::smtp
