#include "delivery/router.hpp"

#include "config/forms.hpp"
#include "core/address.hpp"
#include "delivery/local_domains.hpp"
#include "delivery/tls_policy.hpp"
#include "message/idn.hpp"

#include <algorithm>
#include <set>

namespace mailroot::delivery {

namespace {

Route nowhere(int code, std::string_view enhanced_code, std::string text) {
    Route route;
    route.verdict = {kind_of(code), reply(code, enhanced_code, std::move(text)), ""};
    return route;
}

/// The route where DNS gave no host to go to.
Route without_hosts(const dns::MailHosts& hosts, const std::string& domain) {
    using Status = dns::MailHosts::Status;
    switch (hosts.status) {
        case Status::null_mx:
            return nowhere(556, "5.1.10", domain + " does not accept mail");
        case Status::no_such_domain:
            return nowhere(550, "5.1.2", domain + ": no such domain");
        case Status::no_address:
            return nowhere(550, "5.4.4", domain + ": no mail host has an address");
        default:
            break;
    }
    return nowhere(451, "4.4.3", hosts.error);  // which names the domain
}

/// Whether DNS named nobody, where a smart host may know better. Who takes no mail has said so.
bool names_nobody(dns::MailHosts::Status status) {
    using Status = dns::MailHosts::Status;
    return status == Status::no_such_domain || status == Status::no_address ||
           status == Status::temporary;
}

/// `last` is tried where none of the hosts of `route` can be reached.
Route followed_by(Route route, const Route& last) {
    if (last.kind != Route::Kind::remote) return route;
    route.destination += ", then " + last.destination;
    route.endpoints.insert(route.endpoints.end(), last.endpoints.begin(), last.endpoints.end());
    return route;
}

/// As DNS has a literal: `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 4.1.3).
std::string literal_or_name(std::string_view host) {
    const bool ipv6 = host.starts_with('[') && host.find(':') != std::string_view::npos;
    return ipv6 ? "[IPv6:" + std::string(host.substr(1)) : std::string(host);
}

bool is_wildcard(const std::string& address) {
    return address == "0.0.0.0" || address == "::";
}

}  // namespace

Router::Router(const config::Settings& settings, dns::Resolver& resolver, std::mt19937& random,
               Logins& logins, OwnEndpoints own)
    : settings_(settings),
      resolver_(resolver),
      random_(random),
      logins_(logins),
      own_(std::move(own)) {}

smtp::Task<Route> Router::route(std::string domain, const Called* called) {
    Route route;
    if (is_local(settings_.domains, domain)) {
        route.kind = Route::Kind::local;
        co_return route;
    }
    const bool is_called = called != nullptr && called->names(domain);
    if (is_called && called->connection) {
        route.kind = Route::Kind::turned;
        co_return route;
    }
    const auto* special = remote_domain(settings_.domains, domain);
    if (special != nullptr && special->triggered && !is_called) {
        co_return nowhere(450, "4.4.0", domain + ": waits until its mail host asks for it");
    }
    const bool of_domain = special != nullptr && special->smart_host;
    auto smart_host = of_domain ? *special->smart_host : settings_.delivery.smart_host;
    const auto& login = login_at(smart_host, special);
    if (smart_host.empty() || (settings_.delivery.direct_first && !of_domain))
        co_return co_await by_mx(std::move(domain), std::move(smart_host), login);
    co_return co_await by_smart_host(std::move(smart_host), login, std::move(domain));
}

const config::SmartHostLogin& Router::login_at(const std::string& smart_host,
                                               const config::RemoteDomain* special) const {
    static const config::SmartHostLogin none;
    if (special != nullptr && !special->smart_host_login.user.empty())
        return special->smart_host_login;
    const bool for_all = smart_host == settings_.delivery.smart_host;
    return for_all ? settings_.delivery.smart_host_login : none;
}

/// Where there is a `smart_host` it comes after the MX hosts, and in place of those that DNS does
/// not name.
smtp::Task<Route> Router::by_mx(std::string domain, std::string smart_host,
                                const config::SmartHostLogin& login) {
    const auto ascii = message::ascii_domain(domain);
    if (!ascii) co_return nowhere(553, "5.1.2", ascii.error().what);
    auto ask = [&](auto then) {
        dns::find_mail_hosts(resolver_, *ascii, random_, std::move(then));
    };
    const auto hosts = co_await smtp::from_callback<dns::MailHosts>(ask);
    const bool goes_on = !smart_host.empty();
    if (goes_on && names_nobody(hosts.status))
        co_return co_await by_smart_host(std::move(smart_host), login, std::move(domain));
    if (hosts.status != dns::MailHosts::Status::found) co_return without_hosts(hosts, domain);
    const auto port = settings_.delivery.port;
    auto route = remote(hosts, domain, port);
    // Where we are one of the hosts the smart host would only send the mail back to us.
    const bool ours =
        std::ranges::any_of(hosts.hosts, [&](const auto& host) { return is_us(host, port); });
    if (!goes_on || ours) co_return route;
    const auto last = co_await by_smart_host(std::move(smart_host), login, std::move(domain));
    co_return followed_by(std::move(route), last);
}

/// Where the smart host cannot be found mail waits: who named it can name another one.
smtp::Task<Route> Router::by_smart_host(std::string smart_host, const config::SmartHostLogin& login,
                                        std::string domain) {
    const auto [host, port] = config::smart_host(smart_host);
    const auto name = literal_or_name(host);
    auto ask = [&](auto then) { dns::find_host(resolver_, name, random_, std::move(then)); };
    const auto hosts = co_await smtp::from_callback<dns::MailHosts>(ask);
    if (hosts.status != dns::MailHosts::Status::found) {
        const auto why = hosts.error.empty() ? "there is no such host" : hosts.error;
        co_return nowhere(451, "4.4.4", "smart host " + smart_host + ": " + why);
    }
    auto route = remote(hosts, domain, port == 0 ? settings_.delivery.port : port);
    if (route.kind != Route::Kind::remote) {
        co_return nowhere(451, "4.4.4", "smart host " + smart_host + ": it is this server");
    }
    if (!login.user.empty()) log_in(route, login);
    co_return route;
}

void Router::log_in(Route& route, const config::SmartHostLogin& login) const {
    auto& logged_in = logins_.of(login);
    route.destination += " as " + logged_in.name();
    for (auto& endpoint : route.endpoints) {
        endpoint.login = &logged_in;
        endpoint.tls = tls_policy_of_login(endpoint.tls, login.by_token());
    }
}

Route Router::remote(const dns::MailHosts& hosts, const std::string& domain,
                     std::uint16_t port) const {
    Route route;
    std::set<std::string> destinations;
    const auto* special = remote_domain(settings_.domains, domain);
    const auto tls = tls_policy(settings_, domain);
    const bool by_name = tls == smtp::TlsPolicy::verify;
    for (const auto& host : hosts.hosts) {
        // RFC 5321 5.1: our own entry ends the list; hosts behind it would only send the mail back
        // to us.
        if (is_us(host, port)) break;
        for (const auto& address : host.addresses) {
            route.endpoints.push_back({host.name, address, port, tls});
            // What was verified for one host's name is not verified for another's.
            destinations.insert(by_name ? host.name + '=' + address : address);
        }
    }
    if (route.endpoints.empty()) {
        return nowhere(554, "5.4.6",
                       domain + ": its mail host is this server, which does not hold it");
    }
    route.kind = Route::Kind::remote;
    // Over a connection that may be in the clear nothing goes that may not.
    route.destination = std::string(name_of(tls)) + ' ' + std::to_string(port);
    for (const auto& destination : destinations) route.destination += ' ' + destination;
    if (special != nullptr && special->rate) {
        route.rate = special->rate;
        route.destination += ", " + rate_text(*route.rate);
    }
    return route;
}

bool Router::is_us(const dns::MailHost& host, std::uint16_t port) const {
    const bool own_name =
        port == settings_.delivery.port && equal_ignoring_case(host.name, settings_.hostname);
    return own_name || std::ranges::any_of(host.addresses, [&](const std::string& address) {
               return is_own(address, port);
           });
}

bool Router::is_own(const std::string& named, std::uint16_t port) const {
    // The forms in which this machine's stack takes an IPv4 address, or any address, for itself.
    const std::string address = named.starts_with("::ffff:") ? named.substr(7) : named;
    const bool any = is_wildcard(address);
    return std::ranges::any_of(own_.listening, [&](const smtp::Endpoint& listening) {
        if (listening.port != port) return false;
        if (any) return true;
        if (!is_wildcard(listening.address)) return listening.address == address;
        // All of 127.0.0.0/8 is this machine, though no interface lists it.
        return address.starts_with("127.") ||
               std::ranges::find(own_.addresses, address) != own_.addresses.end();
    });
}

}  // namespace mailroot::delivery
