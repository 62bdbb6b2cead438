#pragma once

#include "core/result.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace mailroot::delivery {

/// Who is there in one local domain.
class RecipientList {
 public:
    /// Reads a name a line: the local part of an address, or the whole address. Blank lines and `#`
    /// comments are skipped. Kind::parse says "line 3: …".
    static Result<RecipientList> parse(std::string_view text, std::string_view domain);

    /// Whether there is such a local part, without regard to case; postmaster always is (RFC
    /// 5321 4.5.1).
    [[nodiscard]] bool has(std::string_view local_part) const;

 private:
    std::set<std::string, std::less<>> names_;  ///< in small letters
};

/// The lists by local domain, as domain_key() has it. A domain without one takes everybody.
using RecipientLists = std::map<std::string, RecipientList, std::less<>>;

}  // namespace mailroot::delivery
