#pragma once

#include "config/settings.hpp"
#include "smtp/client.hpp"

#include <string_view>

namespace mailroot::delivery {

/// How mail for a domain is to be encrypted: as is set for it, else for all. One place decides, so
/// that what others publish for their domains (MTA-STS, RFC 8461; DANE, RFC 7672) can have its say
/// here.
[[nodiscard]] smtp::TlsPolicy tls_policy(const config::Settings& settings, std::string_view domain);

/// The same where a login goes over the connection: only who says `none` has a password said in the
/// clear, and nobody a token.
[[nodiscard]] smtp::TlsPolicy tls_policy_of_login(smtp::TlsPolicy policy, bool by_token);

/// `none`, `may`, `encrypt` or `verify`.
[[nodiscard]] std::string_view name_of(smtp::TlsPolicy policy);

}  // namespace mailroot::delivery
