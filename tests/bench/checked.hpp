#pragma once

#include <cstdio>
#include <cstdlib>

/// A system call that fails ends the program, which says which step that was.
inline long checked(long result, const char* step) {
    if (result >= 0) return result;
    std::perror(step);
    std::_Exit(1);
}

inline int checked_fd(int fd, const char* step) {
    return static_cast<int>(checked(fd, step));
}
