#include "delivery/recipient_list.hpp"

#include "core/address.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

constexpr std::string_view k_blank = " \t\r";

std::string_view trim(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(k_blank), text.size()));
    return text.substr(0, text.find_last_not_of(k_blank) + 1);
}

}  // namespace

Result<RecipientList> RecipientList::parse(std::string_view text, std::string_view domain) {
    RecipientList list;
    for (int number = 1; !text.empty(); ++number) {
        const auto whole = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), whole.size() + 1));
        const auto line = trim(whole);
        if (line.empty() || line.starts_with('#')) continue;
        const auto address = parse_address(line);
        if (!address) {
            return fail(Error::Kind::parse, "line " + std::to_string(number) + ": '" +
                                                std::string(line) + "' is no address");
        }
        if (!address->domain.empty() && !equal_ignoring_case(address->domain, domain)) {
            return fail(Error::Kind::parse, "line " + std::to_string(number) + ": '" +
                                                std::string(line) + "' is not in " +
                                                std::string(domain));
        }
        list.names_.insert(lower_case(address->local_part));
    }
    return list;
}

bool RecipientList::has(std::string_view local_part) const {
    const auto name = lower_case(local_part);
    return name == "postmaster" || names_.contains(name);
}

}  // namespace mailroot::delivery
