#pragma once

#include "core/reactor.hpp"
#include "core/reply.hpp"
#include "core/result.hpp"
#include "core/tls_facts.hpp"
#include "smtp/client.hpp"
#include "smtp/client_wire.hpp"
#include "smtp/curl_multi.hpp"
#include "smtp/loop.hpp"
#include "smtp/reply_parser.hpp"
#include "smtp/tls.hpp"

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// What the server said until it was ready for a command.
struct Welcome {
    std::vector<Reply> replies;  ///< the greeting and that to EHLO, then either that to HELO, where
                                 ///< EHLO was refused, or those to STARTTLS and another EHLO
    std::string trouble;         ///< why there is no connection; empty where there is one
    bool tls_failed = false;     ///< for STARTTLS was not offered, or did not come to a session
    bool login_failed = false;   ///< for the host did not let us log in
    TlsFacts tls;                ///< of the connection

    /// The host began TLS, whatever came of it.
    [[nodiscard]] bool tls_begun() const { return replies.size() > 2 && replies[2].code == 220; }

    /// The reply to EHLO, where there is a connection. Under TLS what was said before counts no
    /// more (RFC 3207 4.2).
    [[nodiscard]] const Reply& to_ehlo() const { return replies.at(tls.protocol.empty() ? 1 : 3); }
    [[nodiscard]] bool extended() const {
        return kind_of(to_ehlo().code) == Verdict::Kind::delivered;
    }
    /// The same, or that to HELO, where EHLO was refused.
    [[nodiscard]] const Reply& to_hello() const {
        return extended() ? to_ehlo() : replies.at(tls.protocol.empty() ? 2 : 4);
    }

    /// The host asked for the next part of a login (RFC 4954 4), and said nothing more.
    [[nodiscard]] bool in_login() const { return !replies.empty() && replies.back().code == 334; }
};

/// What connections have in common.
struct CurlWireOptions {
    std::string hostname;
    ClientTimeouts timeouts;
    std::string authorities;                  ///< PEM file; empty: the system's
    std::shared_ptr<const TrustStore> trust;  ///< the same, for `encrypt` and `may`
    WayOut way_out{};
};

/// The wire of a connection that libcurl opens. `multi` and `reactor` must outlive it.
class CurlWire final : public ClientWire {
 public:
    CurlWire(CurlMulti& multi, Reactor& reactor) : multi_(multi), reactor_(reactor) {}
    ~CurlWire() override;
    CurlWire(const CurlWire&) = delete;
    CurlWire& operator=(const CurlWire&) = delete;

    /// Connects, reads the greeting, says EHLO or HELO, begins TLS, logs in where there are
    /// `credentials`, which must outlive this. To be called once, first.
    Task<Welcome> open(Endpoint endpoint, CurlWireOptions options,
                       const Credentials* credentials = nullptr);

    Task<Result<bool>> send(std::string_view octets, std::chrono::milliseconds most,
                            OnInput on_input) override;
    Task<Result<Reply>> reply(std::chrono::milliseconds most) override;
    Result<void> take_in() override;
    [[nodiscard]] bool has_input() const override { return replies_.holds_octets(); }

 private:
    using Deadline = std::chrono::steady_clock::time_point;
    class Opening;

    static CURLcode on_tls(CURL* easy, void* context, void* trust);
    static std::size_t on_line(char* octets, std::size_t size, std::size_t count, void* self);

    Result<void> set_up(const Endpoint& endpoint, const CurlWireOptions& options);
    Result<void> set_up_way_out(const Endpoint& endpoint, const WayOut& way_out);
    Result<void> set_up_tls(const Endpoint& endpoint, const CurlWireOptions& options);
    Result<void> set_up_login(const Credentials& credentials);
    [[nodiscard]] bool logged_in() const;
    [[nodiscard]] TlsFacts tls_facts(const std::string& host) const;
    void hear(std::string_view line);
    [[nodiscard]] std::string trouble_of(CURLcode code);
    [[nodiscard]] std::string login_trouble_of(const Credentials& credentials) const;
    [[nodiscard]] std::string connect_trouble_of(CURLcode code) const;
    [[nodiscard]] std::string proxy_trouble() const;
    [[nodiscard]] std::string tls_trouble_of(CURLcode code) const;
    Result<std::size_t> send_some(std::string_view octets);
    Task<bool> ready(Reactor::Readiness wanted, Deadline deadline);

    CurlMulti& multi_;
    Reactor& reactor_;
    CURL* easy_ = nullptr;
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> connect_to_{nullptr,
                                                                            &curl_slist_free_all};
    std::array<char, CURL_ERROR_SIZE> complaint_{};  ///< libcurl's, in words
    std::string source_;                             ///< the address to connect from; empty: any
    bool proxied_ = false;
    curl_socket_t socket_ = CURL_SOCKET_BAD;
    ReplyParser replies_;
    Welcome welcome_;
};

}  // namespace mailroot::smtp
