#include "os/program.hpp"

#include "os/fd.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace mailroot::os {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t k_most_output = 64u << 10;

tl::unexpected<Error> failed(const std::string& step, int error) {
    return fail(Error::Kind::io, step + ": " + std::strerror(error));
}

/// A running program in a process group of its own; destroyed, it is killed with its children.
class Program {
 public:
    static Result<Program> start(const std::vector<std::string>& command);

    Program(Program&& other) noexcept
        : pid_(std::exchange(other.pid_, -1)),
          output_(std::move(other.output_)),
          end_(std::move(other.end_)) {}
    Program& operator=(Program&&) = delete;
    ~Program() {
        if (pid_ < 0) return;
        ::kill(-pid_, SIGKILL);
        wait();
    }

    /// What it writes until it ends.
    Result<std::string> output(steady_clock::time_point deadline);

    /// Kind::io unless it ended by itself and with success.
    Result<void> outcome();

 private:
    Program(pid_t pid, Fd output)
        : pid_(pid),
          output_(std::move(output)),
          end_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

    int wait() {
        const pid_t pid = std::exchange(pid_, -1);
        int status = 0;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        return status;
    }

    pid_t pid_;
    Fd output_;
    Fd end_;  ///< readable once it has ended
};

Result<Program> Program::start(const std::vector<std::string>& command) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return failed("no pipe", errno);
    Fd output(pipe[0]);
    const Fd input(pipe[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, input.number(), STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    // Sockets of libraries are not all closed by themselves.
    ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
    std::vector<char*> words;
    for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    pid_t pid = -1;
    const int error =
        ::posix_spawnp(&pid, words.front(), &actions, &attributes, words.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) return failed("cannot be run", error);
    Program program(pid, std::move(output));
    if (!program.end_) return failed("cannot be waited for", errno);
    return program;
}

Result<std::string> Program::output(steady_clock::time_point deadline) {
    std::string text;
    std::array<pollfd, 2> waiting{{{output_.number(), POLLIN, 0}, {end_.number(), POLLIN, 0}}};
    while (text.size() <= k_most_output) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
        if (left <= 0) return fail(Error::Kind::io, "takes too long");
        const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(left));
        if (ready < 0 && errno != EINTR) return failed("cannot be waited for", errno);
        if (ready <= 0) continue;
        // What it wrote is read first; a child that it leaves behind is not waited for.
        if (waiting[0].revents == 0) return text;
        std::array<char, 4096> portion;
        const auto count = ::read(output_.number(), portion.data(), portion.size());
        if (count < 0 && errno != EINTR) return failed("cannot be read", errno);
        if (count > 0) text.append(portion.data(), static_cast<std::size_t>(count));
        if (count == 0) waiting[0].fd = -1;  // it says no more, and is still to end
    }
    return fail(Error::Kind::io, "writes without end");
}

Result<void> Program::outcome() {
    const int status = wait();
    if (WIFSIGNALED(status))
        return fail(Error::Kind::io, "was ended by signal " + std::to_string(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return fail(Error::Kind::io, "ended with " + std::to_string(WEXITSTATUS(status)));
    return {};
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& command, milliseconds most) {
    auto program = Program::start(command);
    if (!program) return fail(std::move(program), command.front());
    auto output = program->output(steady_clock::now() + most);
    if (!output) return fail(std::move(output), command.front());
    auto outcome = program->outcome();
    if (!outcome) return fail(std::move(outcome), command.front());
    return output;
}

}  // namespace mailroot::os
