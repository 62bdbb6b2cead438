#pragma once

#include "core/address.hpp"
#include "core/result.hpp"

#include <cstddef>
#include <string_view>
#include <vector>

namespace mailroot::message {

/// The mailboxes of a From, To, Cc or Bcc field (RFC 5322 3.4): display names, quoted strings,
/// comments, folds, groups and the obsolete route are understood and left out; encoded words stay
/// unread, they can only stand in display names. An empty list is no error. Kind::parse says what
/// is wrong.
Result<std::vector<Address>> parse_address_list(std::string_view value);

/// The same for the value of an x-sender or x-receiver line: `<>` counts as the null reverse path,
/// and the list ends before ESMTP parameters. `length` is set to the octets taken, so that the
/// caller can read on with them.
Result<std::vector<Address>> parse_envelope_addresses(std::string_view value, std::size_t& length);

}  // namespace mailroot::message
