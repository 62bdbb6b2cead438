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
    if (welcome.replies.empty()) return nullptr;
    const auto& last = welcome.replies.back();
    const auto kind = kind_of(last.code);
    if (kind == Verdict::Kind::delivered) return nullptr;
    if (welcome.replies.size() == 2 && kind == Verdict::Kind::failed) return nullptr;
    return &last;
}

class CurlConnector final : public Connector {
 public:
    CurlConnector(Reactor& reactor, std::unique_ptr<CurlMulti> multi, std::string hostname,
                  const ClientTimeouts& timeouts)
        : reactor_(reactor),
          multi_(std::move(multi)),
          hostname_(std::move(hostname)),
          timeouts_(timeouts) {}

    Task<ConnectOutcome> connect(Endpoint endpoint) override {
        const std::string host = endpoint.name + " [" + endpoint.address + "]";
        auto wire = std::make_unique<CurlWire>(*multi_, reactor_);
        const auto welcome = co_await wire->open(std::move(endpoint), hostname_, timeouts_);
        if (welcome.trouble.empty()) co_return connected(std::move(wire), welcome, host);
        ConnectOutcome outcome;
        if (const auto* refused = refusal(welcome)) {
            outcome.failure = {kind_of(refused->code), *refused, host};
        } else {
            outcome.failure = {kind_of(0), reply(0, "4.4.1", welcome.trouble), host};
        }
        co_return outcome;
    }

 private:
    ConnectOutcome connected(std::unique_ptr<CurlWire> wire, const Welcome& welcome,
                             const std::string& host) const {
        // Greeting and EHLO; a third reply is that to HELO, which offers nothing.
        const bool extended = welcome.replies.size() == 2;
        const auto offered = extended ? read_extensions(welcome.replies.back()) : Extensions{};
        return {make_client_connection(std::move(wire), offered, host, timeouts_), {}};
    }

    Reactor& reactor_;
    std::unique_ptr<CurlMulti> multi_;
    const std::string hostname_;
    const ClientTimeouts timeouts_;
};

}  // namespace

Result<std::unique_ptr<Connector>> make_curl_connector(Reactor& reactor, std::string hostname,
                                                       ClientTimeouts timeouts) {
    auto multi = CurlMulti::open(reactor);
    if (!multi) return fail(std::move(multi));
    return std::make_unique<CurlConnector>(reactor, std::move(*multi), std::move(hostname),
                                           timeouts);
}

}  // namespace mailroot::smtp
