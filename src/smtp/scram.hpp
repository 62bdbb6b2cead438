#pragma once

#include "smtp/users.hpp"

#include <string>
#include <string_view>

/// The arithmetic of SCRAM-SHA-256 (RFC 5802 3, RFC 7677) and of passwords beside it. Octets, not
/// base64.
namespace mailroot::smtp {

[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view text);
[[nodiscard]] std::string sha256(std::string_view text);
[[nodiscard]] std::string random_octets(std::size_t count);

/// In a time that does not tell where they differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

/// What is kept of a password. Takes as long as its iterations.
[[nodiscard]] ScramSecret scram_secret(std::string_view password, std::string salt, int iterations);

/// Whether a client that gave `proof` for the exchange `auth_message` knows the password.
[[nodiscard]] bool is_proof(const ScramSecret& secret, std::string_view auth_message,
                            std::string_view proof);

}  // namespace mailroot::smtp
