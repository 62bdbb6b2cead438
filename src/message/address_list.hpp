#pragma once

#include "core/address.hpp"
#include "core/result.hpp"

#include <string_view>
#include <vector>

namespace mailroot::message {

/// The mailboxes of a From, To, Cc or Bcc field (RFC 5322 3.4): display names, quoted strings,
/// comments, folds, groups and the obsolete route are understood and left out; encoded words stay
/// unread, they can only stand in display names. An empty list is no error. Kind::parse says what
/// is wrong.
Result<std::vector<Address>> parse_address_list(std::string_view value);

}  // namespace mailroot::message
