#include "delivery/local_domains.hpp"

#include <algorithm>

namespace mailroot::delivery {

bool is_local(const config::Settings::Domains& domains, std::string_view domain) {
    return domain.empty() || equal_ignoring_case(domain, domains.default_domain) ||
           std::ranges::any_of(domains.aliases,
                               [&](const auto& alias) { return matches_domain(alias, domain); });
}

Address completed(const config::Settings::Domains& domains, Address address) {
    if (!address.is_null() && address.domain.empty()) address.domain = domains.default_domain;
    return address;
}

}  // namespace mailroot::delivery
