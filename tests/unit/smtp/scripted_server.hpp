#pragma once

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

/// One accepted connection, as a script speaks on it. Nothing here fails: a peer that is gone reads
/// as the empty line.
class Peer {
 public:
    explicit Peer(int fd) : fd_(fd) {}
    ~Peer() { ::close(fd_); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    bool say(const std::string& octets) {
        std::size_t sent = 0;
        while (sent < octets.size()) {
            const auto n = ::send(fd_, octets.data() + sent, octets.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) return false;
            sent += static_cast<std::size_t>(n);
        }
        return true;
    }

    /// The next line without its CRLF; empty at the end.
    std::string line() {
        std::size_t end;
        while ((end = buffer_.find("\r\n")) == std::string::npos) {
            if (!more()) return {};
        }
        std::string text = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        return text;
    }

    /// What stands before the first `mark`, which is taken too; all there is where it never comes.
    std::string until(const std::string& mark) {
        std::size_t searched = 0;
        for (;;) {
            const auto end = buffer_.find(mark, searched);
            if (end != std::string::npos) {
                std::string text = buffer_.substr(0, end);
                buffer_.erase(0, end + mark.size());
                return text;
            }
            searched = buffer_.size() < mark.size() ? 0 : buffer_.size() - mark.size();
            if (!more()) return buffer_;
        }
    }

    /// So many octets; fewer at the end.
    std::string take(std::size_t count) {
        while (buffer_.size() < count && more()) {
        }
        std::string octets = buffer_.substr(0, count);
        buffer_.erase(0, octets.size());
        return octets;
    }

    /// The address that the other side connected from.
    [[nodiscard]] std::string address() const {
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        char text[INET6_ADDRSTRLEN] = "";
        ::getpeername(fd_, reinterpret_cast<sockaddr*>(&from), &length);
        const void* octets =
            from.ss_family == AF_INET
                ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(&from)->sin_addr)
                : &reinterpret_cast<sockaddr_in6*>(&from)->sin6_addr;
        return ::inet_ntop(from.ss_family, octets, text, sizeof text);
    }

    /// Waits until the other side hangs up.
    void until_end() {
        while (more()) {
        }
    }

 private:
    bool more() {
        char portion[65536];
        const auto n = ::recv(fd_, portion, sizeof portion, 0);
        if (n > 0) buffer_.append(portion, static_cast<std::size_t>(n));
        return n > 0;
    }

    const int fd_;
    std::string buffer_;
};

/// A server on a free port of loopback that runs `script` in a thread for each connection.
class ScriptedServer {
 public:
    explicit ScriptedServer(std::function<void(Peer&)> script, int family = AF_INET)
        : script_(std::move(script)), fd_(::socket(family, SOCK_STREAM, 0)) {
        bind_to_loopback(family);
        REQUIRE(::listen(fd_, 256) == 0);
        acceptor_ = std::thread([this] { accept_all(); });
    }

    ~ScriptedServer() {
        ::shutdown(fd_, SHUT_RDWR);  // ends accept()
        acceptor_.join();
        ::close(fd_);
        for (auto& session : sessions_) session.join();
    }

    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
    void bind_to_loopback(int family) {
        sockaddr_in v4{};
        sockaddr_in6 v6{};
        v4.sin_family = AF_INET;
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        v6.sin6_family = AF_INET6;
        v6.sin6_addr = in6addr_loopback;
        auto* address =
            family == AF_INET ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
        socklen_t length = family == AF_INET ? sizeof v4 : sizeof v6;
        REQUIRE(::bind(fd_, address, length) == 0);
        REQUIRE(::getsockname(fd_, address, &length) == 0);
        port_ = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    }

    void accept_all() {
        for (int fd; (fd = ::accept(fd_, nullptr, nullptr)) >= 0;) {
            sessions_.emplace_back([this, fd] {
                Peer peer(fd);
                script_(peer);
            });
        }
    }

    const std::function<void(Peer&)> script_;
    const int fd_;
    std::uint16_t port_ = 0;
    std::thread acceptor_;
    std::vector<std::thread> sessions_;  ///< the acceptor's until it is joined
};
