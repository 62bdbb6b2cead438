#include "delivery/secret_file.hpp"

#include "config/text_file.hpp"
#include "core/text.hpp"
#include "os/new_file.hpp"

#include <utility>

namespace mailroot::delivery {

Result<std::string> first_line(std::string_view text) {
    const auto line = trimmed(take_until(text, '\n'));
    if (line.empty()) return fail(Error::Kind::config, "the first line is empty");
    return std::string(line);
}

Result<std::string> secret_in(const std::string& file) {
    auto text = config::read_text_file(file);
    if (!text) return fail(std::move(text), file);
    auto secret = first_line(*text);
    if (!secret) return fail(std::move(secret), file);
    return secret;
}

RefreshToken::RefreshToken(os::Files& files, os::Folder folder, std::string name, os::Fd fd,
                           std::string text)
    : files_(files),
      folder_(std::move(folder)),
      name_(std::move(name)),
      fd_(std::move(fd)),
      text_(std::move(text)) {}

Result<RefreshToken> RefreshToken::claim(os::Files& files, const std::filesystem::path& file) {
    constexpr std::uint64_t k_most = 64u << 10;
    auto folder = files.open_folder(std::filesystem::absolute(file).parent_path());
    if (!folder) return fail(std::move(folder));
    const auto name = file.filename().string();
    auto fd = files.open(*folder, name, os::Files::Access::read);
    if (!fd) return fail(std::move(fd));
    auto locked = files.lock(*fd);
    if (!locked) return fail(std::move(locked), file.string());
    // Who had it before us has put another file in its place.
    const auto held = files.info(*fd), named = files.info(*folder, name);
    if (!*locked || !held || !named || !named->same_file(*held))
        return fail(Error::Kind::busy, file.string() + ": another process has it");
    auto octets = os::read_whole(files, *fd, k_most);
    if (!octets) return fail(std::move(octets), file.string());
    auto text = first_line(*octets);
    if (!text) return fail(std::move(text), file.string());
    return RefreshToken(files, std::move(*folder), name, std::move(*fd), std::move(*text));
}

Result<void> RefreshToken::replace(std::string with) {
    MAILROOT_TRY(os::commit(files_, folder_, name_, with + '\n', os::Overwrite::yes));
    text_ = std::move(with);
    return {};
}

}  // namespace mailroot::delivery
