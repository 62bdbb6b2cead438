#include "delivery/local_domains.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

bool matches(std::string_view alias, std::string_view domain) {
    if (!alias.starts_with("*.")) return equal_ignoring_case(alias, domain);
    const auto suffix = alias.substr(1);
    return domain.size() > suffix.size() &&
           equal_ignoring_case(domain.substr(domain.size() - suffix.size()), suffix);
}

}  // namespace

bool is_local(const config::Settings::Domains& domains, std::string_view domain) {
    return domain.empty() || equal_ignoring_case(domain, domains.default_domain) ||
           std::ranges::any_of(domains.aliases,
                               [&](const auto& alias) { return matches(alias, domain); });
}

Address completed(const config::Settings::Domains& domains, Address address) {
    if (!address.is_null() && address.domain.empty()) address.domain = domains.default_domain;
    return address;
}

}  // namespace mailroot::delivery
