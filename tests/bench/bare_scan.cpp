// bare_scan stat|read FOLDER: what a look at each file of a folder costs at least, by its directory
// entry and inode alone or with its first 4 KiB. Prints the seconds it took, then the seconds of
// processor time.

#include "checked.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace {

void read_start(int folder, const char* name) {
    char octets[4096];
    const int fd = checked_fd(::openat(folder, name, O_RDONLY), name);
    checked(::read(fd, octets, sizeof octets), name);
    ::close(fd);
}

void scan(const char* path, bool read) {
    const int folder = checked_fd(::open(path, O_RDONLY | O_DIRECTORY), path);
    DIR* const stream = ::fdopendir(folder);
    while (const dirent* entry = ::readdir(stream)) {
        struct stat status;
        checked(::fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW), entry->d_name);
        if (read && S_ISREG(status.st_mode)) read_start(folder, entry->d_name);
    }
    ::closedir(stream);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 64;
    const auto started = std::chrono::steady_clock::now();
    scan(argv[2], std::string_view(argv[1]) == "read");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    std::printf("%f %f\n", took.count(), static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
    return 0;
}
