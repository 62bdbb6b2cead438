#include "smtp/client.hpp"
#include "smtp/client_wire.hpp"
#include "smtp/curl_multi.hpp"
#include "smtp/curl_wire.hpp"

#include <utility>

namespace mailroot::smtp {

namespace {

/// The reply by which the host refused us, if it did: a greeting, or that to HELO. A refused EHLO
/// is followed by HELO, so only a passing refusal of it, where HELO got no answer, says why.
const Reply* refusal(const Welcome& welcome) {
    if (welcome.replies.empty() || welcome.in_login()) return nullptr;
    const auto& last = welcome.replies.back();
    const auto kind = kind_of(last.code);
    if (kind == Verdict::Kind::delivered) return nullptr;
    if (welcome.replies.size() == 2 && kind == Verdict::Kind::failed) return nullptr;
    return &last;
}

/// One attempt at a host.
struct Attempt {
    ConnectOutcome outcome;
    bool tls_failed = false;
};

std::string host_of(const Endpoint& endpoint) {
    return endpoint.name + " [" + endpoint.address + "]";
}

class CurlConnector final : public Connector {
 public:
    CurlConnector(Reactor& reactor, std::unique_ptr<CurlMulti> multi, CurlWireOptions options)
        : reactor_(reactor), multi_(std::move(multi)), options_(std::move(options)) {}

    Task<ConnectOutcome> connect(Endpoint endpoint) override {
        if (endpoint.login != nullptr) co_return co_await connect_as(*endpoint.login, endpoint);
        auto attempt = co_await try_once(endpoint, nullptr);
        if (attempt.tls_failed && endpoint.tls == TlsPolicy::may) {
            // The session is of no more use; a new one is made without it.
            endpoint.tls = TlsPolicy::none;
            attempt = co_await try_once(endpoint, nullptr);
        }
        co_return std::move(attempt.outcome);
    }

 private:
    Task<ConnectOutcome> connect_as(Login& login, const Endpoint& endpoint) {
        auto attempt = co_await try_with_credentials(login, endpoint);
        if (attempt.outcome.login_failed) login.failed(attempt.outcome.failure);
        co_return std::move(attempt.outcome);
    }

    Task<Attempt> try_with_credentials(Login& login, const Endpoint& endpoint) {
        Attempt attempt;
        auto credentials = co_await login.credentials();
        if (credentials) attempt = co_await try_once(endpoint, &*credentials);
        if (credentials && attempt.outcome.login_failed && credentials->remembered) {
            login.forget(*credentials);
            credentials = co_await login.credentials();
            if (credentials) attempt = co_await try_once(endpoint, &*credentials);
        }
        if (!credentials) {
            attempt.outcome.failure = {
                kind_of(0), reply(0, "4.7.0", "cannot log in: " + credentials.error().what),
                host_of(endpoint)};
            attempt.outcome.login_failed = true;
        }
        co_return attempt;
    }

    Task<Attempt> try_once(const Endpoint& endpoint, const Credentials* credentials) {
        const auto host = host_of(endpoint);
        auto wire = std::make_unique<CurlWire>(*multi_, reactor_);
        const auto welcome = co_await wire->open(endpoint, options_, credentials);
        Attempt attempt;
        attempt.tls_failed = welcome.tls_failed;
        attempt.outcome.login_failed = welcome.login_failed;
        if (welcome.trouble.empty()) {
            attempt.outcome = connected(std::move(wire), welcome, endpoint, host);
            co_return attempt;
        }
        const auto* refused = welcome.login_failed ? nullptr : refusal(welcome);
        if (refused != nullptr) {
            attempt.outcome.failure = {kind_of(refused->code), *refused, host};
        } else {
            // Mail does not fail for a password that is wrong: that can be mended.
            const auto* code = welcome.login_failed ? "4.7.8"
                               : welcome.tls_failed ? "4.7.5"
                                                    : "4.4.1";
            attempt.outcome.failure = {kind_of(0), reply(0, code, welcome.trouble), host};
        }
        co_return attempt;
    }

    ConnectOutcome connected(std::unique_ptr<CurlWire> wire, const Welcome& welcome,
                             const Endpoint& endpoint, const std::string& host) const {
        auto offered = welcome.extended() ? read_extensions(welcome.to_ehlo()) : Extensions{};
        offered.chunking = offered.chunking && endpoint.chunking;
        return {make_client_connection(std::move(wire), offered, {host, welcome.tls},
                                       options_.timeouts),
                {}};
    }

    Reactor& reactor_;
    std::unique_ptr<CurlMulti> multi_;
    const CurlWireOptions options_;
};

}  // namespace

Result<std::unique_ptr<Connector>> make_curl_connector(Reactor& reactor, std::string hostname,
                                                       ClientTimeouts timeouts,
                                                       std::string authorities, WayOut way_out) {
    auto multi = CurlMulti::open(reactor);
    if (!multi) return fail(std::move(multi));
    auto trust = TrustStore::load(authorities);
    if (!trust) return fail(std::move(trust), "tls.authorities");
    CurlWireOptions options{std::move(hostname), timeouts, std::move(authorities),
                            *std::move(trust), std::move(way_out)};
    return std::make_unique<CurlConnector>(reactor, std::move(*multi), std::move(options));
}

}  // namespace mailroot::smtp
