#include "os/folder_watch.hpp"

#include <cerrno>
#include <cstring>
#include <sys/inotify.h>
#include <unistd.h>

namespace mailroot::os {

namespace {

FolderWatch::Event::Kind kind_of(std::uint32_t mask) {
    using Kind = FolderWatch::Event::Kind;
    if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) return Kind::whole;
    if (mask & IN_ATTRIB) return Kind::changed;
    if (mask & IN_Q_OVERFLOW) return Kind::lost;
    return Kind::moved;  // IN_DELETE_SELF, IN_MOVE_SELF, IN_UNMOUNT, IN_IGNORED
}

}  // namespace

Result<FolderWatch> FolderWatch::open(const Folder& folder, Of of) {
    Fd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    // By descriptor, so that it is the folder that we work in, whatever stands at its path by now.
    const std::string path = "/proc/self/fd/" + std::to_string(folder.fd.number());
    // What goes is not told: it shows when it is looked for, and most of it we remove ourselves.
    constexpr std::uint32_t k_files = IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB;
    const std::uint32_t mask = IN_DELETE_SELF | IN_MOVE_SELF | (of == Of::files ? k_files : 0);
    if (!fd || ::inotify_add_watch(fd.number(), path.c_str(), mask) < 0) {
        return fail(Error::Kind::unavailable,
                    folder.path.string() + ": cannot watch the folder: " + std::strerror(errno));
    }
    return FolderWatch(std::move(fd));
}

std::vector<FolderWatch::Event> FolderWatch::events() {
    std::vector<Event> events;
    alignas(inotify_event) char buffer[16 * 1024];
    for (;;) {
        const auto got = ::read(fd_.number(), buffer, sizeof buffer);
        if (got <= 0) return events;
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            // Without a name it is the folder's own times, which say nothing of its files.
            const bool own = event->len == 0 && (event->mask & IN_ATTRIB);
            if (!own) {
                events.push_back({kind_of(event->mask),
                                  event->len > 0 ? std::string(event->name) : std::string()});
            }
            at += sizeof(inotify_event) + event->len;
        }
    }
}

}  // namespace mailroot::os
