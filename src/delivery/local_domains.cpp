#include "delivery/local_domains.hpp"

#include <algorithm>

namespace mailroot::delivery {

bool is_local(const config::Settings::Domains& domains, std::string_view domain) {
    return domain.empty() || equal_ignoring_case(domain, domains.default_domain) ||
           std::ranges::any_of(domains.aliases,
                               [&](const auto& alias) { return matches_domain(alias, domain); });
}

const config::RemoteDomain* remote_domain(const config::Settings::Domains& domains,
                                          std::string_view domain) {
    const auto exact = domains.remote.find(lower_case(domain));
    if (exact != domains.remote.end()) return &exact->second;
    const config::RemoteDomain* nearest = nullptr;
    std::size_t longest = 0;
    for (const auto& [pattern, remote] : domains.remote) {
        if (pattern.size() <= longest || !matches_domain(pattern, domain)) continue;
        longest = pattern.size();
        nearest = &remote;
    }
    return nearest;
}

Address completed(const config::Settings::Domains& domains, Address address) {
    if (!address.is_null() && address.domain.empty()) address.domain = domains.default_domain;
    return address;
}

}  // namespace mailroot::delivery
