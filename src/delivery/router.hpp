#pragma once

#include "config/settings.hpp"
#include "core/verdict.hpp"
#include "delivery/credentials.hpp"
#include "dns/mail_hosts.hpp"
#include "smtp/client.hpp"
#include "smtp/loop.hpp"

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::delivery {

/// Where mail for a domain goes, worked out anew at every attempt.
struct Route {
    enum class Kind {
        local,    ///< Drop
        remote,   ///< `endpoints`, to be tried in their order
        turned,   ///< the connection over which its host asked for it
        nowhere,  ///< `verdict` says why and whether to try later
    };
    Kind kind = Kind::nowhere;
    std::string destination;  ///< the same for domains with the same hosts, TLS policy, login, rate
    std::vector<smtp::Endpoint> endpoints;
    std::optional<Rate> rate{};  ///< messages at most; none: no limit
    Verdict verdict;
    bool asked_for =
        false;  ///< somebody asks for it now, also where nobody was reached just before
};

/// Mail that its host asked for: by ETRN, or by ATRN over a connection of its own.
struct Called {
    std::function<bool(std::string_view domain)> names;  ///< whether it is mail for this domain
    std::shared_ptr<smtp::ClientConnection> connection;  ///< it goes over this one; null: as always
};

/// The addresses that are ourselves: mail for another domain must not be sent to them (a loop).
struct OwnEndpoints {
    std::vector<smtp::Endpoint> listening;  ///< `0.0.0.0` and `::` stand for all of `addresses`
    std::vector<std::string> addresses;     ///< of this machine's interfaces
};

/// Works out routes. What it refers to must outlive it.
class Router {
 public:
    Router(const config::Settings& settings, dns::Resolver& resolver, std::mt19937& random,
           Logins& logins, OwnEndpoints own);

    /// `called` is what is asked for just now, which may be this; null: nothing.
    smtp::Task<Route> route(std::string domain, const Called* called);

 private:
    [[nodiscard]] bool is_own(const std::string& address, std::uint16_t port) const;
    [[nodiscard]] bool is_us(const dns::MailHost& host, std::uint16_t port) const;
    [[nodiscard]] Route remote(const dns::MailHosts& hosts, const std::string& domain,
                               std::uint16_t port) const;
    void log_in(Route& route, const config::SmartHostLogin& login) const;
    smtp::Task<Route> by_mx(std::string domain, std::string smart_host,
                            const config::SmartHostLogin& login);
    smtp::Task<Route> by_smart_host(std::string smart_host, const config::SmartHostLogin& login,
                                    std::string domain);
    [[nodiscard]] const config::SmartHostLogin& login_at(const std::string& smart_host,
                                                         const config::RemoteDomain* special) const;

    const config::Settings& settings_;
    dns::Resolver& resolver_;
    std::mt19937& random_;
    Logins& logins_;
    const OwnEndpoints own_;
};

}  // namespace mailroot::delivery
