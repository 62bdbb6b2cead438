#include "message/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <unistr.h>

namespace mailroot::message {

bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_utf8(std::string_view octets) {
    return u8_check(reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()) == nullptr;
}

}  // namespace mailroot::message
