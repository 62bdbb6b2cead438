#include "delivery/tls_policy.hpp"

#include "delivery/local_domains.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace mailroot::delivery {

namespace {

using smtp::TlsPolicy;

constexpr std::array<std::pair<std::string_view, TlsPolicy>, 4> k_names{{
    {"none", TlsPolicy::none},
    {"may", TlsPolicy::may},
    {"encrypt", TlsPolicy::encrypt},
    {"verify", TlsPolicy::verify},
}};

}  // namespace

TlsPolicy tls_policy(const config::Settings& settings, std::string_view domain) {
    const auto* special = remote_domain(settings.domains, domain);
    const bool is_special = special != nullptr && !special->tls.empty();
    const std::string_view name = is_special ? special->tls : settings.delivery.tls;
    return std::ranges::find(k_names, name, &decltype(k_names)::value_type::first)->second;
}

TlsPolicy tls_policy_of_login(TlsPolicy policy, bool by_token) {
    const bool in_the_clear = policy == TlsPolicy::none && !by_token;
    return in_the_clear ? policy : std::max(policy, TlsPolicy::encrypt);
}

std::string_view name_of(TlsPolicy policy) {
    return std::ranges::find(k_names, policy, &decltype(k_names)::value_type::second)->first;
}

}  // namespace mailroot::delivery
