// bare_server FOLDER THREADS: what SMTP intake costs at least. An epoll loop that speaks just
// enough SMTP, and for each message does "create, write, fsync, rename, fsync the folder" before
// its 250. That runs on THREADS threads beside the loop; with 1 in the loop itself; with 0 not at
// all, which shows what the rest costs. Prints its port on 127.0.0.1, and serves until it is
// killed.

#include "bare_session.hpp"
#include "checked.hpp"

#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

/// The folder that messages are stored in. Used by all threads.
class Store {
 public:
    explicit Store(const char* path)
        : folder_(checked_fd(::open(path, O_RDONLY | O_DIRECTORY), path)) {}

    void commit(const std::string& message) {
        const auto number = std::to_string(next_++);
        const auto draft = '.' + number + ".tmp", name = number + ".eml";
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
        const int file = checked_fd(::openat(folder_, draft.c_str(), flags, 0600), "create");
        const auto written = checked(::write(file, message.data(), message.size()), "write");
        if (static_cast<std::size_t>(written) != message.size()) std::_Exit(1);
        checked(::fsync(file), "fsync");
        ::close(file);
        checked(::renameat(folder_, draft.c_str(), folder_, name.c_str()), "rename");
        checked(::fsync(folder_), "fsync the folder");
    }

 private:
    const int folder_;
    std::atomic<std::uint64_t> next_ = 0;
};

/// A session is watched (once, EPOLLONESHOT), or waits for a thread, or is in the hands of one.
class Server {
 public:
    Server(Store& store, int threads) : store_(store), threads_(threads) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        checked(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), "bind");
        checked(::listen(listener_, SOMAXCONN), "listen");
        checked(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), "port");
        std::printf("%d\n", ntohs(address.sin_port));
        std::fflush(stdout);
        watch(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
    }

    [[noreturn]] void run() {
        for (int i = 0; threads_ > 1 && i < threads_; ++i) std::thread([this] { work(); }).detach();
        std::array<epoll_event, 128> events;
        for (;;) {
            const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
            for (int i = 0; i < count; ++i) {
                auto* const session =
                    static_cast<Session*>(events[static_cast<std::size_t>(i)].data.ptr);
                session == nullptr ? accept() : receive(session);
            }
        }
    }

 private:
    void watch(int operation, int fd, std::uint32_t what, Session* session) {
        epoll_event event{};
        event.events = what;
        event.data.ptr = session;
        checked(::epoll_ctl(epoll_, operation, fd, &event), "epoll_ctl");
    }

    void accept() {
        const int fd = checked_fd(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), "accept");
        const int on = 1;
        checked(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
        auto* const session = new Session(fd);
        watch(EPOLL_CTL_ADD, fd, 0, session);
        serve(session);
    }

    void receive(Session* session) { session->receive() ? serve(session) : delete session; }

    void serve(Session* session) {
        auto wants = session->proceed();
        for (; wants == Session::Wants::commit && threads_ < 2; wants = session->proceed()) {
            if (threads_ == 1) store_.commit(session->message);
            session->committed();
        }
        if (wants == Session::Wants::input) {
            watch(EPOLL_CTL_MOD, session->fd, EPOLLIN | EPOLLONESHOT, session);
        } else if (wants == Session::Wants::commit) {
            put(session);
        } else {
            delete session;
        }
    }

    void put(Session* session) {
        const std::lock_guard guard(mutex_);
        waiting_.push_back(session);
        changed_.notify_one();
    }

    Session* take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !waiting_.empty(); });
        auto* const session = waiting_.front();
        waiting_.pop_front();
        return session;
    }

    [[noreturn]] void work() {
        for (;;) {
            auto* const session = take();
            store_.commit(session->message);
            session->committed();
            serve(session);
        }
    }

    Store& store_;
    const int threads_;
    const int epoll_ = checked_fd(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    const int listener_ = checked_fd(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Session*> waiting_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 64;
    Store store(argv[1]);
    Server(store, std::atoi(argv[2])).run();
}
