#include "smtp/server.hpp"

#include "smtp/listen_address.hpp"
#include "smtp/server_connection.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <list>
#include <optional>
#include <set>
#include <utility>

namespace mailroot::smtp {

namespace {

using asio::ip::tcp;

// After a failed accept (no descriptors left): the backlog keeps the clients meanwhile.
constexpr std::chrono::milliseconds k_accept_pause{500};
// What was cut off still has to come back from its read; what waits for the disk may not.
constexpr std::chrono::milliseconds k_last_turns{1000};
constexpr std::chrono::minutes k_between_warnings{1};

struct Listener {
    tcp::acceptor acceptor;
    asio::steady_timer pause;
    ListenerOptions options;
};

Peer peer_at(const tcp::endpoint& client, const tcp::endpoint& server) {
    Peer peer;
    const auto address = unmapped(client.address());
    peer.address = address.to_string();
    peer.port = client.port();
    peer.loopback = address.is_loopback();
    peer.server_address = unmapped(server.address()).to_string();
    peer.server_port = server.port();
    return peer;
}

/// Says why, where the client would understand it, and hangs up. Nothing of the client's has been
/// read, so nothing is waited for.
void turn_away(tcp::socket socket, const ListenerOptions& listener, const Reply& reply) {
    if (listener.tls == ListenerOptions::Tls::implicit) return;
    asio::error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(reply.wire()), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
}

/// What the coroutines of a server share; it lives as long as the last of them.
struct Sessions {
    Sessions(Loop& on, EventLog& log, ServerOptions options, AdmissionOptions admission,
             Networks proxies)
        : loop(on),
          context{std::move(options), std::move(proxies), log, Admission(std::move(admission))},
          all_gone(on) {}

    Loop& loop;
    ServerContext context;
    std::list<Listener> listeners;
    std::set<std::shared_ptr<ServerConnection>> connections;
    asio::steady_timer all_gone;  ///< cancelled when the last connection ends
    std::chrono::steady_clock::time_point next_warning{};
    bool stopping = false;
};

/// Until the last connection ends, or for so long.
Task<void> wait_until_gone(std::shared_ptr<Sessions> sessions, std::chrono::milliseconds limit) {
    if (sessions->connections.empty()) co_return;
    asio::error_code ignored;
    sessions->all_gone.expires_after(limit);
    co_await sessions->all_gone.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

Task<void> run_connection(std::shared_ptr<Sessions> sessions,
                          std::shared_ptr<ServerConnection> connection) {
    co_await connection->run();
    sessions->connections.erase(connection);
    if (sessions->connections.empty()) sessions->all_gone.cancel();
}

void welcome(const std::shared_ptr<Sessions>& sessions, const Listener& listener,
             tcp::socket socket) {
    asio::error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    auto peer = peer_at(endpoint, socket.local_endpoint(error));
    auto& context = sessions->context;
    const auto most = context.options.connections;
    std::optional<Reply> refusal;
    if (sessions->stopping) {
        refusal = reply(421, "4.3.2", context.options.hostname + " Service closing");
    } else if (most != 0 && sessions->connections.size() >= most) {
        refusal = reply(421, "4.7.0", "Too many connections");
    }
    if (refusal) {
        context.log.turned_away(peer, *refusal);
        return turn_away(std::move(socket), listener.options, *refusal);
    }
    socket.set_option(tcp::no_delay(true), error);  // replies are whole: nothing to wait for
    auto connection = std::make_shared<ServerConnection>(std::move(socket), std::move(peer),
                                                         listener.options, context);
    sessions->connections.insert(connection);
    asio::co_spawn(sessions->loop, run_connection(sessions, connection), asio::detached);
}

/// Waits a while, for accept() would fail again at once.
Task<void> pause_accepting(std::shared_ptr<Sessions> sessions, Listener& listener,
                           asio::error_code why) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= sessions->next_warning) {
        sessions->next_warning = now + k_between_warnings;
        sessions->context.log.warning("cannot accept connections: " + why.message());
    }
    listener.pause.expires_after(k_accept_pause);
    asio::error_code ignored;
    co_await listener.pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

Task<void> accept_all(std::shared_ptr<Sessions> sessions, Listener& listener) {
    while (!sessions->stopping) {
        asio::error_code error;
        auto socket = co_await listener.acceptor.async_accept(
            asio::redirect_error(asio::use_awaitable, error));
        if (!error) {
            welcome(sessions, listener, std::move(socket));
        } else if (!sessions->stopping) {
            co_await pause_accepting(sessions, listener, error);
        }
    }
}

class AsioServer final : public Server {
 public:
    explicit AsioServer(std::shared_ptr<Sessions> sessions) : sessions_(std::move(sessions)) {}
    AsioServer(const AsioServer&) = delete;
    AsioServer& operator=(const AsioServer&) = delete;

    ~AsioServer() override {
        stop_listening();
        for (const auto& connection : sessions_->connections) connection->cut();
    }

    Result<std::string> listen(const ListenerOptions& listener) override {
        auto acceptor = listen_at(sessions_->loop, listener.address);
        if (!acceptor) return fail(std::move(acceptor));
        auto taken = endpoint_text(acceptor->local_endpoint());
        sessions_->listeners.push_back(
            {*std::move(acceptor), asio::steady_timer(sessions_->loop), listener});
        return taken;
    }

    void use(ServerSecrets secrets) override { sessions_->context.secrets = std::move(secrets); }

    void start(Intake& intake, QueueTrigger* trigger) override {
        sessions_->context.intake = &intake;
        sessions_->context.trigger = trigger;
        for (auto& listener : sessions_->listeners) {
            asio::co_spawn(sessions_->loop, accept_all(sessions_, listener), asio::detached);
        }
    }

    Task<void> stop(std::chrono::seconds grace) override {
        const auto sessions = sessions_;
        stop_listening();
        for (const auto& connection : sessions->connections) connection->stop();
        co_await wait_until_gone(sessions, grace);
        for (const auto& connection : sessions->connections) connection->cut();
        co_await wait_until_gone(sessions, k_last_turns);
    }

 private:
    void stop_listening() {
        sessions_->stopping = true;
        asio::error_code ignored;
        for (auto& listener : sessions_->listeners) {
            listener.acceptor.close(ignored);
            listener.pause.cancel();
        }
    }

    std::shared_ptr<Sessions> sessions_;
};

}  // namespace

std::unique_ptr<Server> make_server(Loop& loop, EventLog& log, ServerOptions options,
                                    AdmissionOptions admission, Networks proxies) {
    return std::make_unique<AsioServer>(std::make_shared<Sessions>(
        loop, log, std::move(options), std::move(admission), std::move(proxies)));
}

}  // namespace mailroot::smtp
