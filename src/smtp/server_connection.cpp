#include "smtp/server_connection.hpp"

#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <exception>
#include <utility>

namespace mailroot::smtp {

namespace {

// A session that waits for a command holds the small one: thousands of them idle at once.
constexpr std::size_t k_command_buffer = 2 * 1024;
constexpr std::size_t k_data_buffer = 16 * 1024;

// How long a client may take to hang up once it has our last reply.
constexpr std::chrono::milliseconds k_linger{2000};

auto into(asio::error_code& error) {
    return asio::redirect_error(asio::use_awaitable, error);
}

}  // namespace

ServerConnection::ServerConnection(asio::ip::tcp::socket socket, Peer peer,
                                   const ServerOptions& options, Intake& intake, EventLog& log)
    : socket_(std::move(socket)),
      options_(options),
      intake_(intake),
      log_(log),
      session_(options, std::move(peer), log),
      deadline_(socket_.get_executor(), [this] { interrupt(); }) {}

Task<void> ServerConnection::run() {
    try {
        co_await converse();
    } catch (const std::exception& e) {
        log_.warning("session with " + session_.peer().address + ": " + e.what());
    }
}

Task<void> ServerConnection::converse() {
    Step step = step::Receive{};
    const auto act = [this](auto& s) { return perform(s); };
    do {
        step = session_.next();
        co_await std::visit(act, step);
    } while (!std::holds_alternative<step::Close>(step));
}

void ServerConnection::stop() {
    session_.stop();
    if (receiving_) interrupt();  // in a transaction it reads on at once
}

void ServerConnection::cut() {
    session_.disconnected();
    asio::error_code ignored;
    socket_.close(ignored);
}

/// Has the read or write that runs come back with operation_aborted.
void ServerConnection::interrupt() {
    asio::error_code ignored;
    socket_.cancel(ignored);
}

Task<void> ServerConnection::perform(step::Receive&) {
    const auto wanted = session_.receiving_data() ? k_data_buffer : k_command_buffer;
    if (buffer_.size() != wanted) buffer_ = std::vector<char>(wanted);

    asio::error_code error;
    receiving_ = true;
    deadline_.set(options_.idle);
    const auto length = co_await socket_.async_read_some(asio::buffer(buffer_), into(error));
    deadline_.clear();
    receiving_ = false;

    if (!error) {
        session_.feed({buffer_.data(), length});
    } else if (error != asio::error::operation_aborted) {
        session_.disconnected();
    } else if (deadline_.passed()) {
        session_.time_out();
    }  // else stop() woke us, and the session knows
}

Task<void> ServerConnection::perform(step::Send& send) {
    asio::error_code error;
    deadline_.set(options_.idle);
    co_await asio::async_write(socket_, asio::buffer(send.octets), into(error));
    deadline_.clear();
    if (error) session_.disconnected();
}

Task<void> ServerConnection::perform(step::CheckRecipient& check) {
    session_.recipient_checked(
        intake_.check_recipient(session_.peer(), session_.envelope(), check.recipient));
    co_return;
}

Task<void> ServerConnection::perform(step::Begin& begin) {
    message_ = intake_.begin(session_.peer(), std::move(begin.envelope));
    session_.begun(message_ != nullptr);
    co_return;
}

Task<void> ServerConnection::perform(step::Append& append) {
    co_await message_->append(std::move(append.octets));
}

Task<void> ServerConnection::perform(step::Commit&) {
    const auto reply = co_await message_->commit();
    message_.reset();
    session_.committed(reply);
}

Task<void> ServerConnection::perform(step::Abort&) {
    message_.reset();
    co_return;
}

/// Hangs up so that the last reply arrives: closing a socket with octets unread sends a reset, and
/// that would take the reply out of the client's hands.
Task<void> ServerConnection::perform(step::Close&) {
    message_.reset();
    asio::error_code error;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
    deadline_.set(k_linger);
    while (!error && !deadline_.passed()) {
        buffer_.resize(k_command_buffer);
        co_await socket_.async_read_some(asio::buffer(buffer_), into(error));
    }
    deadline_.clear();
}

}  // namespace mailroot::smtp
