#include "os/owner.hpp"

#include <cerrno>
#include <cstring>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mailroot::os {

Result<void> become_owner(const std::filesystem::path& folder) {
    struct stat status;
    if (::geteuid() != 0 || ::stat(folder.c_str(), &status) != 0 || status.st_uid == 0) return {};
    if (::setgroups(1, &status.st_gid) != 0 || ::setgid(status.st_gid) != 0 ||
        ::setuid(status.st_uid) != 0) {
        return fail(Error::Kind::permission,
                    folder.string() + ": cannot become its owner: " + std::strerror(errno));
    }
    return {};
}

Result<void> check_trusted(const std::filesystem::path& file) {
    struct stat status;
    if (::geteuid() != 0 || ::stat(file.c_str(), &status) != 0) return {};
    if (status.st_uid != 0) {
        return fail(Error::Kind::config,
                    file.string() +
                        ": not owned by root, who will not act on it: chown it to root, "
                        "or run as its owner");
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(Error::Kind::config,
                    file.string() + ": may be written by others than root: chmod go-w");
    }
    return {};
}

void raise_file_limit() {
    rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    // Where it is refused the smaller limit holds, and what does not fit waits.
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace mailroot::os
