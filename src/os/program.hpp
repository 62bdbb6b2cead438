#pragma once

#include "core/result.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace mailroot::os {

/// Runs a program, found on the PATH as a shell finds it but without one, and gives what it wrote
/// to its standard output. It reads nothing and has no other descriptor of ours; what it writes to
/// its standard error is dropped. Blocks. The program and its children are killed where it takes
/// longer than `most` or writes more than a few lines.
///
/// Kind::io says that it cannot be run, how it ended, or that it took too long.
Result<std::string> output_of(const std::vector<std::string>& command,
                              std::chrono::milliseconds most);

}  // namespace mailroot::os
