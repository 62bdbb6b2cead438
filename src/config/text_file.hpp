#pragma once

#include "core/result.hpp"

#include <filesystem>
#include <string>

namespace mailroot::config {

/// The text of a file that an administrator wrote. Kind::not_found where there is none; else
/// Kind::config says why it cannot be read. The file's name is the caller's to add.
Result<std::string> read_text_file(const std::filesystem::path& file);

}  // namespace mailroot::config
