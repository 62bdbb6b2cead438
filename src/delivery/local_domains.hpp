#pragma once

#include "config/settings.hpp"
#include "core/address.hpp"

#include <string_view>

namespace mailroot::delivery {

/// matches_domain() by A-labels, so that a domain beyond ASCII is the same in either form.
[[nodiscard]] bool same_domain(std::string_view pattern, std::string_view domain);

/// The form in which domains are looked up: A-labels in small letters.
[[nodiscard]] std::string domain_key(std::string_view domain);

/// Whether mail for `domain` ends here: the default domain, an alias, or below an alias
/// `*.example.com`.
[[nodiscard]] bool is_local(const config::Settings::Domains& domains, std::string_view domain);

/// What is said of a domain in `domains.remote`: of itself, else by the longest `*.example.com`
/// that it is below. Null where nothing is.
[[nodiscard]] const config::RemoteDomain* remote_domain(const config::Settings::Domains& domains,
                                                        std::string_view domain);

/// An address with its domain: one without (`postmaster`) belongs to the default domain, as in IIS.
[[nodiscard]] Address completed(const config::Settings::Domains& domains, Address address);

}  // namespace mailroot::delivery
