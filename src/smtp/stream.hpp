#pragma once

#include "core/result.hpp"
#include "core/tls_facts.hpp"
#include "smtp/loop.hpp"
#include "smtp/tls.hpp"

#include <asio/ip/tcp.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// The octets of a connection that a client opened, plain or, from accept_tls() on, encrypted. One
/// coroutine at a time waits in it.
class Stream {
 public:
    explicit Stream(asio::ip::tcp::socket socket);

    /// Waits until something can be read, or the end; holds no buffer meanwhile.
    Task<void> readable(asio::error_code& error);

    /// Reads what is there, at least one octet. Gives 0 and asio::error::eof at the end.
    Task<std::size_t> read_some(char* data, std::size_t size, asio::error_code& error);

    /// The same without waiting: asio::error::would_block where nothing is there.
    std::size_t read_now(char* data, std::size_t size, asio::error_code& error);

    /// Writes all of it; `octets` must stay where they are.
    Task<void> write(std::string_view octets, asio::error_code& error);

    /// Shakes hands. What was read before it is not part of it: the caller drops that (RFC 3207 6).
    Task<Result<TlsFacts>> accept_tls(std::shared_ptr<const TlsContext> context);

    /// Whatever waits comes back with asio::error::operation_aborted.
    void cancel();
    /// Nothing more will be written; the client sees the end.
    void shutdown_send();
    void close();

    [[nodiscard]] asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
    Task<void> wait_for(TlsSession::Status status, asio::error_code& error);

    asio::ip::tcp::socket socket_;
    std::unique_ptr<TlsSession> tls_;
};

}  // namespace mailroot::smtp
