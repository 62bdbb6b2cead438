#pragma once

#include "core/result.hpp"

#include <string>
#include <string_view>

namespace mailroot::message {

/// A domain as DNS and EHLO have it: labels beyond ASCII become A-labels (IDNA2008, RFC 5891),
/// others stay as they are. Kind::parse where a label cannot be one.
Result<std::string> ascii_domain(std::string_view domain);

}  // namespace mailroot::message
