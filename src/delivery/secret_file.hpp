#pragma once

#include "core/result.hpp"
#include "os/files.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace mailroot::delivery {

/// The secret that stands in a file: its first line. Errors name the file.
Result<std::string> secret_in(const std::string& file);

/// The first line of what a file holds or a program wrote. Kind::config where it is empty.
Result<std::string> first_line(std::string_view text);

/// The refresh token in its file, claimed: no other process exchanges it meanwhile.
class RefreshToken {
 public:
    /// Kind::busy where another process has it. `files` must outlive the token.
    static Result<RefreshToken> claim(os::Files& files, const std::filesystem::path& file);

    [[nodiscard]] const std::string& text() const { return text_; }

    /// Puts another one in its place, in the file first: whole or not at all, and durably.
    Result<void> replace(std::string with);

 private:
    RefreshToken(os::Files& files, os::Folder folder, std::string name, os::Fd fd,
                 std::string text);

    os::Files& files_;
    os::Folder folder_;
    std::string name_;
    os::Fd fd_;
    std::string text_;
};

}  // namespace mailroot::delivery
