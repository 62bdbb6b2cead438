#include "smtp/stream.hpp"

#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <utility>

namespace mailroot::smtp {

namespace {

using Status = TlsSession::Status;

auto into(asio::error_code& error) {
    return asio::redirect_error(asio::use_awaitable, error);
}

bool waits(Status status) {
    return status == Status::wants_read || status == Status::wants_write;
}

}  // namespace

Stream::Stream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
    asio::error_code ignored;
    socket_.non_blocking(true, ignored);
}

Task<void> Stream::readable(asio::error_code& error) {
    error.clear();
    if (tls_ && tls_->has_pending()) co_return;
    co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, into(error));
}

Task<std::size_t> Stream::read_some(char* data, std::size_t size, asio::error_code& error) {
    if (!tls_) {
        co_return co_await socket_.async_read_some(asio::buffer(data, size), into(error));
    }
    std::size_t length = 0;
    auto status = tls_->read(data, size, length);
    for (error.clear(); waits(status) && !error;) {
        co_await wait_for(status, error);
        if (!error) status = tls_->read(data, size, length);
    }
    if (error) co_return 0;
    if (status != Status::done) error = asio::error::eof;
    co_return length;
}

std::size_t Stream::read_now(char* data, std::size_t size, asio::error_code& error) {
    if (!tls_) return socket_.read_some(asio::buffer(data, size), error);
    std::size_t length = 0;
    const auto status = tls_->read(data, size, length);
    error.clear();
    if (waits(status)) {
        error = asio::error::would_block;
    } else if (status != Status::done) {
        error = asio::error::eof;
    }
    return length;
}

Task<void> Stream::write(std::string_view octets, asio::error_code& error) {
    if (!tls_) {
        co_await asio::async_write(socket_, asio::buffer(octets), into(error));
        co_return;
    }
    for (error.clear(); !octets.empty() && !error;) {
        std::size_t length = 0;
        const auto status = tls_->write(octets, length);
        octets.remove_prefix(length);
        if (waits(status)) {
            co_await wait_for(status, error);
        } else if (status != Status::done) {
            error = asio::error::broken_pipe;
        }
    }
}

Task<Result<TlsFacts>> Stream::accept_tls(std::shared_ptr<const TlsContext> context) {
    tls_ = std::make_unique<TlsSession>(std::move(context), socket_.native_handle());
    asio::error_code error;
    auto status = tls_->handshake();
    while (waits(status) && !error) {
        co_await wait_for(status, error);
        if (!error) status = tls_->handshake();
    }
    if (error == asio::error::operation_aborted) {
        co_return fail(Error::Kind::unavailable, "the handshake took too long");
    }
    if (status == Status::done) co_return TlsFacts{tls_->protocol(), tls_->cipher()};
    co_return fail(Error::Kind::unavailable, error ? error.message() : tls_->reason());
}

Task<void> Stream::wait_for(Status status, asio::error_code& error) {
    const auto what = status == Status::wants_read ? asio::ip::tcp::socket::wait_read
                                                   : asio::ip::tcp::socket::wait_write;
    co_await socket_.async_wait(what, into(error));
}

void Stream::cancel() {
    asio::error_code ignored;
    socket_.cancel(ignored);
}

void Stream::shutdown_send() {
    if (tls_) tls_->shutdown();
    asio::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Stream::close() {
    asio::error_code ignored;
    socket_.close(ignored);
}

}  // namespace mailroot::smtp
