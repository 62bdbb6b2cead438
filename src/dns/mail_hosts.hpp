#pragma once

#include "dns/resolver.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::dns {

/// One host that takes mail for a domain, with its addresses.
struct MailHost {
    std::string name;  ///< or the address itself for a literal `[192.0.2.1]`
    std::uint16_t preference = 0;
    std::vector<std::string>
        addresses;      ///< IPv6 and IPv4 as they came; may be empty where its name has none
    std::string error;  ///< why there are no addresses
};

/// Where mail for a domain goes.
struct MailHosts {
    enum class Status {
        found,           ///< at least one host has an address
        null_mx,         ///< the domain takes no mail: 5.1.10 (RFC 7505)
        no_such_domain,  ///< 5.1.2
        no_address,      ///< hosts named, none has an address: 5.4.4 as Postfix has it
        temporary,       ///< ask again later: 4.4.3
    };

    Status status = Status::temporary;
    std::vector<MailHost> hosts;       ///< by preference, equal ones shuffled
    bool implicit = false;             ///< no MX: the domain's own address is used
    std::vector<std::string> aliases;  ///< CNAME chain of the domain
    std::chrono::seconds ttl{0};
    std::string error;
};

/// Works out the hosts of `domain` by RFC 5321 5.1: MX by preference, equal ones shuffled with
/// `random`; no MX: its A and AAAA; an address literal `[192.0.2.1]` or `[IPv6:…]` is its own host.
/// MX present but unusable is no licence to try A. `domain` is ASCII (A-labels); `resolver` and
/// `random` must outlive the question; `then` is called from the event loop, or at once for a
/// literal.
void find_mail_hosts(Resolver& resolver, std::string_view domain, std::mt19937& random,
                     std::function<void(MailHosts)> then);

/// The one host of that name, or an address literal, with its addresses; no MX is asked for.
/// `implicit` likewise.
void find_host(Resolver& resolver, std::string_view name, std::mt19937& random,
               std::function<void(MailHosts)> then);

}  // namespace mailroot::dns
