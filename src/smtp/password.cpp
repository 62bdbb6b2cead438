#include "smtp/password.hpp"

#include "smtp/scram.hpp"

#include <crypt.h>
#include <memory>

namespace mailroot::smtp {

namespace {

bool is_password_of(const User& user, const std::string& password) {
    if (user.has_scram()) {
        const auto& kept = user.scram;
        const auto given = scram_secret(password, kept.salt, kept.iterations);
        return equal_in_constant_time(given.stored_key, kept.stored_key);
    }
    const auto work = std::make_unique<crypt_data>();  // too large for a thread's stack
    const char* const given = crypt_r(password.c_str(), user.hash.c_str(), work.get());
    return given != nullptr && equal_in_constant_time(given, user.hash);
}

}  // namespace

bool verify_password(const Users& users, const std::string& name, const std::string& password) {
    // Drawn for a known name too, so that it takes no less.
    const auto* another = users.resembling(name, false);
    if (another == nullptr) return false;
    const auto* user = users.find(name);
    const bool right = is_password_of(user != nullptr ? *user : *another, password);
    return user != nullptr && right;
}

}  // namespace mailroot::smtp
