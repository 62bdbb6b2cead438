#pragma once

#include "core/reactor.hpp"
#include "core/reply.hpp"
#include "core/result.hpp"
#include "smtp/client.hpp"
#include "smtp/client_wire.hpp"
#include "smtp/curl_multi.hpp"
#include "smtp/loop.hpp"
#include "smtp/reply_parser.hpp"

#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// What the server said until it was ready for a command.
struct Welcome {
    std::vector<Reply> replies;  ///< the greeting, that to EHLO and, where refused, that to HELO
    std::string trouble;         ///< why there is no connection; empty where there is one
};

/// The wire of a connection that libcurl opens. `multi` and `reactor` must outlive it.
class CurlWire final : public ClientWire {
 public:
    CurlWire(CurlMulti& multi, Reactor& reactor) : multi_(multi), reactor_(reactor) {}
    ~CurlWire() override;
    CurlWire(const CurlWire&) = delete;
    CurlWire& operator=(const CurlWire&) = delete;

    /// Connects, reads the greeting, says EHLO or HELO. To be called once, first.
    Task<Welcome> open(Endpoint endpoint, std::string hostname, ClientTimeouts timeouts);

    Task<Result<bool>> send(std::string_view octets, std::chrono::milliseconds most,
                            OnInput on_input) override;
    Task<Result<Reply>> reply(std::chrono::milliseconds most) override;
    Result<void> take_in() override;
    [[nodiscard]] bool has_input() const override { return replies_.holds_octets(); }

 private:
    using Deadline = std::chrono::steady_clock::time_point;
    class Opening;

    static std::size_t on_line(char* octets, std::size_t size, std::size_t count, void* self);

    Result<void> set_up(const Endpoint& endpoint, const std::string& hostname,
                        const ClientTimeouts& timeouts);
    void hear(std::string_view line);
    [[nodiscard]] std::string trouble_of(CURLcode code);
    Result<std::size_t> send_some(std::string_view octets);
    Task<bool> ready(Reactor::Readiness wanted, Deadline deadline);

    CurlMulti& multi_;
    Reactor& reactor_;
    CURL* easy_ = nullptr;
    curl_socket_t socket_ = CURL_SOCKET_BAD;
    ReplyParser replies_;
    Welcome welcome_;
};

}  // namespace mailroot::smtp
