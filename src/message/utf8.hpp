#pragma once

#include <string_view>

namespace mailroot::message {

/// Whether every octet is below 128.
[[nodiscard]] bool is_ascii(std::string_view text);

/// Whether the octets are well-formed UTF-8 (RFC 3629).
[[nodiscard]] bool is_utf8(std::string_view octets);

}  // namespace mailroot::message
