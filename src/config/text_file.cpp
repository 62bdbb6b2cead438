#include "config/text_file.hpp"

#include <fstream>
#include <iterator>
#include <system_error>

namespace mailroot::config {

Result<std::string> read_text_file(const std::filesystem::path& file) {
    std::error_code error;
    const auto status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        return fail(Error::Kind::not_found, "no such file");
    }
    if (error) return fail(Error::Kind::config, "cannot be read: " + error.message());
    if (std::filesystem::is_directory(status)) {
        return fail(Error::Kind::config, "is a directory, not a file");
    }
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail(Error::Kind::config, "cannot be opened for reading");
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (in.bad()) return fail(Error::Kind::config, "cannot be read to its end");
    return text;
}

}  // namespace mailroot::config
