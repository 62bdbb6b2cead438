#pragma once

#include <string_view>

namespace mailroot::message {

/// Whether the octets are well-formed UTF-8 (RFC 3629).
[[nodiscard]] bool is_utf8(std::string_view octets);

}  // namespace mailroot::message
