#include "smtp/server_connection.hpp"

#include "smtp/password.hpp"
#include "smtp/proxy_header.hpp"
#include "smtp/turned_wire.hpp"

#include <asio/ip/address.hpp>

#include <exception>
#include <utility>

namespace mailroot::smtp {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t k_buffer = 16 * 1024;

// For the PROXY header, and for a TLS handshake.
constexpr std::chrono::milliseconds k_preparation{30'000};

// How long a client may take to hang up once it has our last reply.
constexpr std::chrono::milliseconds k_linger{2000};

}  // namespace

ServerConnection::ServerConnection(asio::ip::tcp::socket socket, Peer client,
                                   ListenerOptions listener, ServerContext& context)
    : stream_(std::make_unique<Stream>(std::move(socket))),
      context_(context),
      client_(std::move(client)),
      listener_(std::move(listener)),
      secrets_(context.secrets),
      deadline_(stream_->executor(), [this] { interrupt(); }) {}

Task<void> ServerConnection::run() {
    try {
        const bool prepared = co_await prepare();
        if (prepared) co_await converse();
    } catch (const std::exception& e) {
        context_.log.warning("session with " + client_.address + ": " + e.what());
        if (session_) session_->disconnected();
    }
    if (admitted_) context_.admission.leave(client_.address);
}

/// All that comes before the greeting; false where it does not come to that.
Task<bool> ServerConnection::prepare() {
    if (context_.proxies.contains(client_.address)) {
        const bool read = co_await read_proxy_header();
        if (!read) co_return false;
    }
    const bool admitted = co_await admit();
    if (!admitted) co_return false;
    client_.session = ++context_.sessions;
    if (listener_.tls == ListenerOptions::Tls::implicit) {
        const bool encrypted = co_await encrypt();
        if (!encrypted) co_return false;
    }
    auto examined = co_await context_.intake->examine(client_);
    client_ = std::move(examined);
    session_.emplace(context_.options, terms(), client_, context_.log, steady_clock::now());
    if (stopping_) session_->stop();
    co_return true;
}

/// Who listed itself as a proxy speaks for others, or does not speak (proxy-protocol.txt 2).
Task<bool> ServerConnection::read_proxy_header() {
    ProxyHeader header;
    asio::error_code error;
    deadline_.set(k_preparation);
    while (!error && header.state() == ProxyHeader::State::incomplete) {
        // One octet at a time: what follows the header is not ours to take.
        char octet = 0;
        const auto length = co_await stream_->read_some(&octet, 1, error);
        header.feed({&octet, length});
    }
    deadline_.clear();
    if (header.state() != ProxyHeader::State::whole) {
        const auto why = error ? error.message() : header.reason();
        context_.log.turned_away(client_, reply(421, "4.7.0", "PROXY header: " + why));
        co_return false;
    }
    if (const auto& source = header.source()) {
        client_.address = source->address;
        client_.port = source->port;
        client_.loopback = asio::ip::make_address(source->address).is_loopback();
    }
    co_return true;
}

Task<bool> ServerConnection::admit() {
    const auto refusal = context_.admission.admit(client_.address, steady_clock::now());
    admitted_ = !refusal;
    if (refusal) co_await turn_away(*refusal);
    co_return admitted_;
}

/// Says why and hangs up. Nothing of the client's has been read, so nothing is waited for.
Task<void> ServerConnection::turn_away(const Reply& reply) {
    context_.log.turned_away(client_, reply);
    if (listener_.tls == ListenerOptions::Tls::implicit) co_return;  // it would not understand
    asio::error_code ignored;
    deadline_.set(k_linger);
    co_await stream_->write(reply.wire(), ignored);
    deadline_.clear();
    stream_->shutdown_send();
}

Task<bool> ServerConnection::encrypt() {
    deadline_.set(k_preparation);
    interruptible_ = true;
    const auto facts = co_await stream_->accept_tls(secrets_.tls);
    interruptible_ = false;
    deadline_.clear();
    if (!facts) {
        context_.log.encryption_failed(client_, facts.error().what);
        co_return false;
    }
    if (session_) {
        session_->tls_started(facts->protocol, facts->cipher);
    } else {
        client_.tls_protocol = facts->protocol;
        client_.tls_cipher = facts->cipher;
        context_.log.encrypted(client_);
    }
    co_return true;
}

SessionTerms ServerConnection::terms() const {
    const bool starttls = secrets_.tls && listener_.tls == ListenerOptions::Tls::offered;
    return {starttls, listener_.require_tls, secrets_.users};
}

Task<void> ServerConnection::converse() {
    Step step = step::Receive{};
    const auto act = [this](auto& s) { return perform(s); };
    do {
        step = session_->next(steady_clock::now());
        co_await std::visit(act, step);
    } while (!std::holds_alternative<step::Close>(step));
}

void ServerConnection::stop() {
    stopping_ = true;
    if (session_) session_->stop();
    if (interruptible_ || !session_) interrupt();  // in a transaction it reads on at once
}

void ServerConnection::cut() {
    if (session_) session_->disconnected();
    if (stream_) stream_->close();
}

/// Has the read or write that runs come back with operation_aborted.
void ServerConnection::interrupt() {
    if (stream_) stream_->cancel();
}

Task<void> ServerConnection::perform(step::Receive&) {
    // Thousands of sessions idle at once: none of them holds a buffer while it waits.
    std::vector<char>().swap(buffer_);
    asio::error_code error;
    std::size_t length = 0;
    interruptible_ = true;
    deadline_.set(
        std::chrono::ceil<std::chrono::milliseconds>(session_->receive_by() - steady_clock::now()));
    co_await stream_->readable(error);
    if (!error) {
        buffer_.resize(k_buffer);
        length = co_await stream_->read_some(buffer_.data(), buffer_.size(), error);
    }
    deadline_.clear();
    interruptible_ = false;

    if (!error) {
        session_->feed({buffer_.data(), length});
    } else if (error != asio::error::operation_aborted) {
        session_->disconnected();
    } else if (deadline_.passed()) {
        session_->time_out();
    }  // else stop() woke us, and the session knows
}

Task<void> ServerConnection::perform(step::Send& send) {
    asio::error_code error;
    deadline_.set(context_.options.idle);
    interruptible_ = !session_->in_transaction();
    co_await stream_->write(send.octets, error);
    interruptible_ = false;
    deadline_.clear();
    if (error) session_->disconnected();
}

Task<void> ServerConnection::perform(step::StartTls&) {
    const bool encrypted = co_await encrypt();
    if (!encrypted) session_->disconnected();
}

Task<void> ServerConnection::perform(step::CheckPassword& check) {
    auto work = [users = secrets_.users, check = std::move(check)] {
        return verify_password(*users, check.name, check.password);
    };
    session_->password_checked(co_await in_background(context_.passwords, std::move(work)));
}

Task<void> ServerConnection::perform(step::Pause& pause) {
    co_await smtp::pause(pause.time);
}

Task<void> ServerConnection::perform(step::CheckSender& check) {
    session_->replied(
        co_await context_.intake->check_sender(session_->peer(), check.envelope, check.announced));
}

Task<void> ServerConnection::perform(step::CheckRecipient& check) {
    const auto too_many = context_.admission.recipient(client_.address, steady_clock::now());
    if (too_many) {
        session_->replied(*too_many);
        co_return;
    }
    session_->replied(co_await context_.intake->check_recipient(
        session_->peer(), session_->envelope(), check.recipient));
}

Task<void> ServerConnection::perform(step::Begin& begin) {
    message_ = context_.intake->begin(session_->peer(), std::move(begin.envelope));
    session_->begun(message_ != nullptr);
    co_return;
}

Task<void> ServerConnection::perform(step::Append& append) {
    co_await message_->append(std::move(append.octets));
}

Task<void> ServerConnection::perform(step::Commit&) {
    auto reply = co_await message_->commit();
    message_.reset();
    session_->replied(std::move(reply));
}

Task<void> ServerConnection::perform(step::Abort&) {
    message_.reset();
    co_return;
}

Task<void> ServerConnection::perform(step::StartQueue& start) {
    session_->replied(
        co_await context_.trigger->start_queue(session_->peer(), std::move(start.node)));
}

Task<void> ServerConnection::perform(step::CheckTurn& check) {
    session_->replied(
        co_await context_.trigger->check_turn(session_->peer(), std::move(check.domains)));
}

Task<void> ServerConnection::perform(step::Turn& turn) {
    const auto host = session_->peer().helo + " [" + client_.address + "]";
    const TlsFacts tls{client_.tls_protocol, client_.tls_cipher};
    auto turned = co_await turn_around(std::move(stream_), std::move(turn.received),
                                       context_.options.hostname, {}, host, tls);
    if (!turned.connection) {
        context_.log.notice("ATRN of " + host + ": " + turned.failure.reply.text());
    } else {
        co_await context_.trigger->turn(session_->peer(), std::move(turn.domains),
                                        std::move(turned.connection));
    }
}

/// Hangs up so that the last reply arrives: closing a socket with octets unread sends a reset, and
/// that would take the reply out of the client's hands.
Task<void> ServerConnection::perform(step::Close&) {
    message_.reset();
    if (!stream_) co_return;
    stream_->shutdown_send();
    asio::error_code error;
    deadline_.set(k_linger);
    buffer_.resize(k_buffer);
    while (!error && !deadline_.passed()) {
        co_await stream_->read_some(buffer_.data(), buffer_.size(), error);
    }
    deadline_.clear();
}

}  // namespace mailroot::smtp
