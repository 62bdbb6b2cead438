#pragma once

#include "core/address.hpp"
#include "core/result.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mailroot::smtp {

/// What SCRAM-SHA-256 keeps of a password (RFC 5802 3); octets, not base64.
struct ScramSecret {
    int iterations = 0;
    std::string salt;
    std::string stored_key;
    std::string server_key;
};

/// One line of the users' file.
struct User {
    std::string hash;   ///< as crypt(3) gives it; empty where `scram` is there instead
    ScramSecret scram;  ///< `iterations` is 0 where there is none
    std::vector<std::string>
        senders;  ///< who it may send as: `a@b.test`, `@b.test`, `@*.b.test`; empty: anybody

    [[nodiscard]] bool has_scram() const { return scram.iterations != 0; }
};

/// Who may authenticate. Does not change once it was read.
class Users {
 public:
    /// Reads lines of `name:hash`, behind which addresses may stand that the user may send as;
    /// blank lines and `#` comments are skipped. A hash is crypt(3)'s, of a kind that is slow to
    /// guess, or `SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY` (RFC 5803, base64). Kind::config
    /// says "line 3: …".
    static Result<Users> parse(std::string_view text);

    /// Null where there is no such user. Names are compared octet by octet.
    [[nodiscard]] const User* find(std::string_view name) const;

    /// Whether somebody can authenticate by SCRAM.
    [[nodiscard]] bool has_scram() const;

    /// Whom an unknown name is held against, so that it takes as long as a user may: the same for a
    /// name each time, and each of ours for some names. Of those alone who have a secret for SCRAM,
    /// where `scram`. Null where there is none.
    [[nodiscard]] const User* resembling(std::string_view name, bool scram) const;

    [[nodiscard]] bool empty() const { return users_.empty(); }

    /// Whether the user may send with this reverse path; the null one is everybody's.
    [[nodiscard]] bool may_send_as(std::string_view name, const Address& reverse_path) const;

 private:
    Result<void> add(std::string_view line);

    std::map<std::string, User, std::less<>> users_;
};

}  // namespace mailroot::smtp
