#pragma once

#include "core/result.hpp"

#include <filesystem>

namespace mailroot::os {

/// Run by root, the process becomes the owner of `folder` for good: a file of root's in a queue
/// would be a trap for the service that runs as somebody else. Nothing is done for others, for a
/// folder of root's, or for one that is not there. Kind::permission where it cannot be done.
Result<void> become_owner(const std::filesystem::path& folder);

/// Run by root, only a file that root owns and nobody else may write is trusted with what root
/// does. Kind::config says what is wrong with it. A file that is not there is no matter.
Result<void> check_trusted(const std::filesystem::path& file);

/// Lets the process open as many files as the system grants it.
void raise_file_limit();

}  // namespace mailroot::os
