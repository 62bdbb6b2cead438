#include "smtp/base64.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace mailroot::smtp {

namespace {

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string encode_base64(std::string_view octets) {
    std::string text((octets.size() + 2) / 3 * 4 + 1, '\0');  // and the NUL that OpenSSL adds
    const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes(octets),
                                       static_cast<int>(octets.size()));
    text.resize(static_cast<std::size_t>(length));
    return text;
}

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    // OpenSSL forgives white space around it, and padding of any length.
    if (text.find_first_of(" \t\r\n") != std::string_view::npos) return std::nullopt;
    const auto end = std::min(text.find('='), text.size());
    const auto padding = text.size() - end;
    if (padding > 2 || text.find_first_not_of('=', end) != std::string_view::npos) {
        return std::nullopt;
    }
    std::string octets(text.size() / 4 * 3, '\0');
    const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(octets.data()), bytes(text),
                                       static_cast<int>(text.size()));
    if (length < 0) return std::nullopt;
    octets.resize(static_cast<std::size_t>(length) - padding);
    return octets;
}

}  // namespace mailroot::smtp
