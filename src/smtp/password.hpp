#pragma once

#include "smtp/users.hpp"

#include <string>

namespace mailroot::smtp {

/// Whether it is the user's password. Takes as long for a name that is unknown. Slow by design:
/// call it where nothing waits for it.
[[nodiscard]] bool verify_password(const Users& users, const std::string& name,
                                   const std::string& password);

}  // namespace mailroot::smtp
