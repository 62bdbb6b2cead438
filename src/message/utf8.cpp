#include "message/utf8.hpp"

#include <cstdint>
#include <unistr.h>

namespace mailroot::message {

bool is_utf8(std::string_view octets) {
    return u8_check(reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()) == nullptr;
}

}  // namespace mailroot::message
