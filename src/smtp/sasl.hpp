#pragma once

#include "smtp/base64.hpp"
#include "smtp/users.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace mailroot::smtp {

/// The server's side of one SASL exchange (RFC 4422): PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC
/// 5802, RFC 7677). Octets, not base64.
class SaslExchange {
 public:
    struct Challenge {
        std::string octets;
    };
    struct CheckPassword {  ///< answer with password_checked()
        std::string name;
        std::string password;
    };
    struct Succeeded {
        std::string name;
    };
    struct Failed {
        enum class Why {
            malformed,    ///< what the client said is none of the mechanism's messages
            credentials,  ///< name or password are wrong
        };
        Why why;
        std::string name;  ///< as far as it was said
    };
    using Step = std::variant<Challenge, CheckPassword, Succeeded, Failed>;

    virtual ~SaslExchange() = default;

    /// `initial` is what the client said together with the mechanism's name, if it did.
    virtual Step start(std::optional<std::string> initial) = 0;
    /// The client's answer to a challenge.
    virtual Step resume(std::string response) = 0;
    virtual Step password_checked(bool right) = 0;
};

/// Null where there is no such mechanism, or none of the users can use it. `nonce` is the server's
/// part of SCRAM's nonce; empty: a random one.
std::unique_ptr<SaslExchange> make_sasl_exchange(std::string_view mechanism,
                                                 std::shared_ptr<const Users> users,
                                                 std::string nonce = {});

/// The mechanisms that these users can use, as EHLO lists them.
[[nodiscard]] std::string sasl_mechanisms(const Users& users);

}  // namespace mailroot::smtp
