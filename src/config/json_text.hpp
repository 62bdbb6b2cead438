#pragma once

#include "core/result.hpp"

#include <nlohmann/json.hpp>

#include <string_view>

namespace mailroot::config {

/// JSON with comments. Kind::config says in words what is wrong and where (`line 3, column 7: …`);
/// a key that stands twice in one object is wrong too: one of the two would be ignored.
Result<nlohmann::ordered_json> parse_json(std::string_view text);

}  // namespace mailroot::config
