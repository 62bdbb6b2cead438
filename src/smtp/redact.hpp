#pragma once

#include <string>
#include <string_view>

namespace mailroot::smtp {

/// The words of another machine with `...` where it repeats a secret: as it is, as a login has it
/// in base64, or as a form encodes it. For all that is logged, reported or kept.
[[nodiscard]] std::string redacted(std::string text, std::string_view secret);

}  // namespace mailroot::smtp
