// bare_host pipelining|chunking PORT ADDRESS...: a mail host at each of these addresses that takes
// everything and keeps nothing. It offers PIPELINING, with `chunking` CHUNKING too. Of each message
// it prints whom it was for, a line each. Serves until it is killed.

#include "bare_session.hpp"
#include "checked.hpp"

#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

/// A thousand addresses and their clients are more than a process may have open at first.
void allow_many_files() {
    rlimit limit{};
    checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    checked(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

class Host {
 public:
    explicit Host(Chunking chunking) : chunking_(chunking) {}

    void listen(const char* at, std::uint16_t port) {
        const int listener = checked_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        const int on = 1;
        checked(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "reuse");
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        checked(::inet_pton(AF_INET, at, &address.sin_addr) - 1, at);
        checked(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), at);
        checked(::listen(listener, SOMAXCONN), "listen");
        watch(listener);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 128> events;
        for (;;) {
            const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
            for (int i = 0; i < count; ++i) turn_to(events[static_cast<std::size_t>(i)].data.fd);
            tell();
        }
    }

 private:
    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }

    void turn_to(int fd) {
        const auto found = sessions_.find(fd);
        if (found == sessions_.end()) {
            accept(fd);
        } else if (!found->second->receive() || !serve(*found->second)) {
            sessions_.erase(found);
        }
    }

    void accept(int listener) {
        const int fd = checked_fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept");
        const int on = 1;
        checked(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
        watch(fd);
        serve(*sessions_.emplace(fd, std::make_unique<Session>(fd, chunking_)).first->second);
    }

    /// False once the client has said goodbye.
    bool serve(Session& session) {
        auto wants = session.proceed();
        for (; wants == Session::Wants::commit; wants = session.proceed()) {
            taken_ += session.recipient + '\n';
            session.committed();
        }
        return wants == Session::Wants::input;
    }

    void tell() {
        if (!taken_.empty()) checked(::write(STDOUT_FILENO, taken_.data(), taken_.size()), "write");
        taken_.clear();
    }

    const Chunking chunking_;
    const int epoll_ = checked_fd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    std::map<int, std::unique_ptr<Session>> sessions_;
    std::string taken_;  ///< what was not told yet
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 64;
    allow_many_files();
    Host host(std::string_view(argv[1]) == "chunking" ? Chunking::yes : Chunking::no);
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
    for (int i = 3; i < argc; ++i) host.listen(argv[i], port);
    host.run();
}
