#include "delivery/recipient_list.hpp"

#include "core/address.hpp"
#include "core/text.hpp"
#include "delivery/local_domains.hpp"

namespace mailroot::delivery {

Result<RecipientList> RecipientList::parse(std::string_view text, std::string_view domain) {
    RecipientList list;
    for (int number = 1; !text.empty(); ++number) {
        const auto line = trimmed(take_until(text, '\n'));
        if (line.empty() || line.starts_with('#')) continue;
        const auto address = parse_address(line);
        if (!address) {
            return fail(Error::Kind::parse, "line " + std::to_string(number) + ": '" +
                                                std::string(line) + "' is no address");
        }
        if (!address->domain.empty() && domain_key(address->domain) != domain_key(domain)) {
            return fail(Error::Kind::parse, "line " + std::to_string(number) + ": '" +
                                                std::string(line) + "' is not in " +
                                                std::string(domain));
        }
        list.names_.insert(lower_case(unquoted(address->local_part)));
    }
    return list;
}

bool RecipientList::has(std::string_view local_part) const {
    const auto name = lower_case(unquoted(local_part));
    return name == "postmaster" || names_.contains(name);
}

}  // namespace mailroot::delivery
