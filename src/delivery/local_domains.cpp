#include "delivery/local_domains.hpp"

#include "message/idn.hpp"

#include <algorithm>

namespace mailroot::delivery {

std::string domain_key(std::string_view domain) {
    auto ascii = message::ascii_domain(domain);
    return lower_case(ascii ? *ascii : domain);
}

bool same_domain(std::string_view pattern, std::string_view domain) {
    return matches_domain(domain_key(pattern), domain_key(domain));
}

bool is_local(const config::Settings::Domains& domains, std::string_view domain) {
    const auto is_it = [&](const auto& local) { return same_domain(local, domain); };
    return domain.empty() || is_it(domains.default_domain) ||
           std::ranges::any_of(domains.aliases, is_it);
}

const config::RemoteDomain* remote_domain(const config::Settings::Domains& domains,
                                          std::string_view domain) {
    const config::RemoteDomain* nearest = nullptr;
    std::size_t longest = 0;
    for (const auto& [pattern, remote] : domains.remote) {
        const bool exact = !pattern.starts_with('*');
        if (!same_domain(pattern, domain)) continue;
        if (exact) return &remote;
        if (pattern.size() <= longest) continue;
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
