#pragma once

#include <cstdio>
#include <cstdlib>

/// What must hold of any input. The fuzzer keeps the input of the process that this ends.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}
