// long_link FROM TO PORT MILLISECONDS: a long way to the host TO, whose near end is the address
// FROM. All that goes either way arrives so much later, however much it is; a connection stands
// there after three such ways, as TCP's does. Serves until it is killed.

#include "checked.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <ratio>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in endpoint(const char* at, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    checked(::inet_pton(AF_INET, at, &address.sin_addr) - 1, at);
    return address;
}

class Socket {
 public:
    explicit Socket(int socket) : fd(socket) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { ::close(fd); }

    const int fd;
};

class Link {
 public:
    Link(const sockaddr_in& from, const sockaddr_in& to, std::chrono::milliseconds delay)
        : to_(to), delay_(delay) {
        const int on = 1;
        checked(::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "reuse");
        checked(::bind(listener_, reinterpret_cast<const sockaddr*>(&from), sizeof from), "bind");
        checked(::listen(listener_, SOMAXCONN), "listen");
        watch(listener_);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 128> events;
        for (;;) {
            const auto wait = until_next();
            const int count = ::epoll_pwait2(epoll_, events.data(), events.size(),
                                             under_way_.empty() ? nullptr : &wait, nullptr);
            for (int i = 0; i < count; ++i) turn_to(events[static_cast<std::size_t>(i)].data.fd);
            while (!under_way_.empty() && under_way_.front().due <= Clock::now()) {
                const auto arrive = std::move(under_way_.front().arrive);
                under_way_.pop_front();
                arrive();
            }
        }
    }

 private:
    struct Parcel {
        Clock::time_point due;
        std::function<void()> arrive;
    };

    /// What `from` has to read goes to `to`.
    struct Direction {
        std::shared_ptr<Socket> from, to;
    };

    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }

    /// All parcels take as long: what was sent first arrives first.
    void send(std::function<void()> arrive) {
        under_way_.push_back({Clock::now() + delay_, std::move(arrive)});
    }

    timespec until_next() const {
        if (under_way_.empty()) return {};
        const auto left = std::max(under_way_.front().due - Clock::now(), Clock::duration::zero());
        return {left.count() / std::nano::den, left.count() % std::nano::den};
    }

    void turn_to(int fd) {
        if (fd == listener_) {
            accept();
        } else if (const auto found = directions_.find(fd); found != directions_.end()) {
            if (!carry(found->second)) directions_.erase(found);
        }
    }

    void accept() {
        const auto near = std::make_shared<Socket>(
            checked_fd(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), "accept"));
        // There, back, and there again. The near end stands at once; nobody speaks there before
        // the far end does.
        send([this, near] { send([this, near] { send([this, near] { connect(near); }); }); });
    }

    void connect(const std::shared_ptr<Socket>& near) {
        const auto far = std::make_shared<Socket>(
            checked_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
        if (::connect(far->fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0) return;
        directions_[near->fd] = {near, far};
        directions_[far->fd] = {far, near};
        watch(near->fd);
        watch(far->fd);
    }

    /// False at the end of what comes from there. The other side has room: it reads at once.
    bool carry(const Direction& direction) {
        std::array<char, 64 * 1024> buffer;
        const auto got = ::recv(direction.from->fd, buffer.data(), buffer.size(), 0);
        if (got > 0) {
            send([to = direction.to, octets = std::string(buffer.data(), std::size_t(got))] {
                ::send(to->fd, octets.data(), octets.size(), MSG_NOSIGNAL);
            });
            return true;
        }
        checked(::epoll_ctl(epoll_, EPOLL_CTL_DEL, direction.from->fd, nullptr), "epoll_ctl");
        send([to = direction.to] { ::shutdown(to->fd, SHUT_WR); });
        return false;
    }

    const sockaddr_in to_;
    const std::chrono::milliseconds delay_;
    const int epoll_ = checked_fd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    const int listener_ = checked_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    std::deque<Parcel> under_way_;
    std::map<int, Direction> directions_;  ///< by the descriptor that is read
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 64;
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[3]));
    const std::chrono::milliseconds delay(std::atoi(argv[4]));
    Link(endpoint(argv[1], port), endpoint(argv[2], port), delay).run();
}
