#pragma once

#include "scratch_folder.hpp"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/// A socket on 127.0.0.1, closed with it; it never answers.
class LoopbackSocket {
 public:
    LoopbackSocket(int type, std::uint16_t port) : fd_(::socket(AF_INET, type, 0)) {
        auto where = address(port);
        bound_ = ::bind(fd_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0;
    }
    ~LoopbackSocket() { ::close(fd_); }
    LoopbackSocket(const LoopbackSocket&) = delete;
    LoopbackSocket& operator=(const LoopbackSocket&) = delete;

    static sockaddr_in address(std::uint16_t port) {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(port);
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return where;
    }

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] bool bound() const { return bound_; }
    [[nodiscard]] std::uint16_t port() const {
        sockaddr_in where{};
        socklen_t size = sizeof where;
        REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&where), &size) == 0);
        return ntohs(where.sin_port);
    }

 private:
    int fd_;
    bool bound_;
};

/// A port of 127.0.0.1 that is free for UDP and TCP.
inline std::uint16_t free_dns_port() {
    for (int tries = 0; tries < 100; ++tries) {
        const LoopbackSocket udp(SOCK_DGRAM, 0);
        const LoopbackSocket tcp(SOCK_STREAM, udp.port());
        if (tcp.bound()) return udp.port();
    }
    FAIL("no port is free for both UDP and TCP");
    return 0;
}

/// Debian's nsd on a loopback port with one zone, `test.`; ended with it.
class Nsd {
 public:
    /// `records` are lines of a zone file below its SOA; names without a final dot are in `test.`.
    explicit Nsd(const std::string& records) : port_(free_dns_port()) {
        folder_.write("test.zone",
                      "$ORIGIN test.\n$TTL 3600\n"
                      "@ SOA ns admin 1 3600 900 86400 120\n"
                      "@ NS ns\nns A 127.0.0.1\n" +
                          records);
        start(folder_.write("nsd.conf", configuration()));
        await();
    }

    ~Nsd() {
        ::kill(process_, SIGTERM);
        ::waitpid(process_, nullptr, 0);
    }
    Nsd(const Nsd&) = delete;
    Nsd& operator=(const Nsd&) = delete;

    /// `127.0.0.1:5353`
    [[nodiscard]] std::string server() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
    [[nodiscard]] std::string configuration() const {
        const auto folder = folder_.path().string();
        return "server:\n ip-address: 127.0.0.1@" + std::to_string(port_) +
               "\n username: \"\"\n chroot: \"\"\n database: \"\"\n server-count: 1\n"
               " rrl-ratelimit: 0\n"
               " zonesdir: \"" +
               folder + "\"\n pidfile: \"" + folder +
               "/nsd.pid\"\n"
               " logfile: \"" +
               folder + "/nsd.log\"\n xfrdfile: \"" + folder +
               "/xfrd\"\n"
               " xfrdir: \"" +
               folder + "\"\n zonelistfile: \"" + folder +
               "/zones\"\n"
               "remote-control:\n control-enable: no\n"
               "zone:\n name: \"test\"\n zonefile: \"test.zone\"\n";
    }

    void start(const std::string& configuration_file) {
        process_ = ::fork();
        REQUIRE(process_ >= 0);
        if (process_ > 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        ::execl("/usr/sbin/nsd", "nsd", "-d", "-c", configuration_file.c_str(), nullptr);
        ::_exit(127);
    }

    /// Asks for the zone's SOA until it is given.
    void await() {
        const unsigned char question[] = {0, 1, 0,   0,   0,   1,   0, 0, 0, 0, 0,
                                          0, 4, 't', 'e', 's', 't', 0, 0, 6, 0, 1};
        const LoopbackSocket asking(SOCK_DGRAM, 0);
        const auto where = LoopbackSocket::address(port_);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (std::chrono::steady_clock::now() < deadline) {
            ::sendto(asking.fd(), question, sizeof question, 0,
                     reinterpret_cast<const sockaddr*>(&where), sizeof where);
            pollfd answered{asking.fd(), POLLIN, 0};
            unsigned char answer[512];
            if (::poll(&answered, 1, 50) > 0 &&
                ::recv(asking.fd(), answer, sizeof answer, 0) > 12 && (answer[3] & 0x0f) == 0)
                return;
            REQUIRE_MESSAGE(::waitpid(process_, nullptr, WNOHANG) == 0, "nsd does not run");
        }
        FAIL("nsd does not answer");
    }

    ScratchFolder folder_;
    std::uint16_t port_;
    pid_t process_ = -1;
};
