#include "smtp/sasl.hpp"

#include "core/address.hpp"
#include "message/utf8.hpp"
#include "smtp/scram.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace mailroot::smtp {

namespace {

// RFC 4616 2 leaves it open; nobody has longer ones.
constexpr std::size_t k_longest = 255;

using Failed = SaslExchange::Failed;
using Step = SaslExchange::Step;

Step malformed() {
    return Failed{Failed::Why::malformed, {}};
}

/// A name or password as it may be said: text, not empty.
bool is_credential(std::string_view text) {
    return !text.empty() && text.size() <= k_longest && message::is_utf8(text) &&
           text.find('\0') == std::string_view::npos;
}

/// PLAIN and LOGIN: both come to a name and a password.
class PasswordExchange : public SaslExchange {
 public:
    Step password_checked(bool right) override {
        if (right) return Succeeded{name_};
        return Failed{Failed::Why::credentials, name_};
    }

 protected:
    Step check(std::string name, std::string password) {
        if (!is_credential(name) || !is_credential(password)) return malformed();
        name_ = std::move(name);
        return CheckPassword{name_, std::move(password)};
    }

 private:
    std::string name_;
};

class Plain final : public PasswordExchange {
 public:
    Step start(std::optional<std::string> initial) override {
        if (!initial) return Challenge{};
        return resume(std::move(*initial));
    }

    /// `[authzid] NUL authcid NUL passwd`
    Step resume(std::string response) override {
        const auto first = response.find('\0');
        const auto second = response.find('\0', first + 1);
        if (first == std::string::npos || second == std::string::npos) return malformed();
        const auto on_behalf = response.substr(0, first);
        auto name = response.substr(first + 1, second - first - 1);
        if (!on_behalf.empty() && on_behalf != name) {
            return Failed{Failed::Why::credentials, std::move(name)};  // nobody acts for others
        }
        return check(std::move(name), response.substr(second + 1));
    }
};

class Login final : public PasswordExchange {
 public:
    Step start(std::optional<std::string> initial) override {
        if (!initial) return Challenge{"Username:"};
        return resume(std::move(*initial));
    }

    Step resume(std::string response) override {
        if (name_) return check(std::move(*name_), std::move(response));
        name_ = std::move(response);
        return Challenge{"Password:"};
    }

 private:
    std::optional<std::string> name_;
};

/// `n,,n=user,r=nonce` taken apart at its commas.
std::vector<std::string_view> attributes_of(std::string_view message) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto comma = message.find(',');
        parts.push_back(message.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        message.remove_prefix(comma + 1);
    }
}

/// The value of `r=value`.
std::optional<std::string_view> value_of(std::string_view attribute, char name) {
    if (attribute.size() < 2 || attribute[0] != name || attribute[1] != '=') return std::nullopt;
    return attribute.substr(2);
}

/// RFC 5802 5.1: `=2C` is a comma and `=3D` an equals sign; no other `=` may stand in a name.
std::optional<std::string> unquoted_name(std::string_view text) {
    std::string name;
    while (!text.empty()) {
        if (text.starts_with("=2C") || text.starts_with("=3D")) {
            name += text.starts_with("=2C") ? ',' : '=';
            text.remove_prefix(3);
        } else if (text.front() == '=') {
            return std::nullopt;
        } else {
            name += text.front();
            text.remove_prefix(1);
        }
    }
    return name;
}

class Scram final : public SaslExchange {
 public:
    Scram(std::shared_ptr<const Users> users, std::string nonce)
        : users_(std::move(users)),
          nonce_(nonce.empty() ? encode_base64(random_octets(k_nonce)) : std::move(nonce)) {}

    Step start(std::optional<std::string> initial) override {
        if (!initial) return Challenge{};
        return resume(std::move(*initial));
    }

    Step resume(std::string response) override {
        switch (awaited_) {
            case Awaited::first:
                return take_first(response);
            case Awaited::final:
                return take_final(response);
            default:
                // The client has seen that we know its password too; it has nothing to add.
                if (!response.empty()) return malformed();
                return Succeeded{name_};
        }
    }

    Step password_checked(bool) override { return malformed(); }

 private:
    enum class Awaited { first, final, acknowledgement };
    static constexpr std::size_t k_nonce = 18;

    /// `n,[a=authzid],n=user,r=nonce[,extensions]` (RFC 5802 7)
    Step take_first(std::string_view message) {
        const auto parts = attributes_of(message);
        // `p=` asks for channel binding, of which we offered none.
        if (parts.size() < 4 || (parts[0] != "n" && parts[0] != "y")) return malformed();
        const auto user = value_of(parts[2], 'n');
        const auto client_nonce = value_of(parts[3], 'r');
        auto name = user ? unquoted_name(*user) : std::nullopt;
        if (!name || !is_credential(*name) || !client_nonce || client_nonce->empty())
            return malformed();
        name_ = std::move(*name);
        if (!is_own_name(parts[1])) return Failed{Failed::Why::credentials, name_};
        gs2_header_ = std::string(parts[0]) + ',' + std::string(parts[1]) + ',';
        nonce_.insert(0, *client_nonce);
        find_secret();
        const auto first = "r=" + nonce_ + ",s=" + encode_base64(secret_.salt) +
                           ",i=" + std::to_string(secret_.iterations);
        auth_message_ = std::string(message.substr(gs2_header_.size())) + ',' + first;
        awaited_ = Awaited::final;
        return Challenge{first};
    }

    [[nodiscard]] bool is_own_name(std::string_view on_behalf) const {
        if (on_behalf.empty()) return true;
        const auto quoted = value_of(on_behalf, 'a');
        return quoted && unquoted_name(*quoted) == name_;
    }

    /// `c=channel-binding,r=nonce[,extensions],p=proof`
    Step take_final(std::string_view message) {
        const auto at = message.rfind(",p=");
        if (at == std::string_view::npos) return malformed();
        const auto parts = attributes_of(message.substr(0, at));
        const auto proof = decode_base64(message.substr(at + 3));
        if (parts.size() < 2 || value_of(parts[0], 'c') != encode_base64(gs2_header_) ||
            value_of(parts[1], 'r') != nonce_ || !proof) {
            return malformed();
        }
        auth_message_ += ',' + std::string(message.substr(0, at));
        if (!is_proof(secret_, auth_message_, *proof) || !known_) {
            return Failed{Failed::Why::credentials, name_};
        }
        awaited_ = Awaited::acknowledgement;
        return Challenge{"v=" + encode_base64(hmac_sha256(secret_.server_key, auth_message_))};
    }

    /// The user's secret, or for a name that has none one that nobody's proof fits. It is the same
    /// each time it is asked for, as a user's would be.
    void find_secret() {
        // Drawn for a known name too, so that it takes no less.
        const auto* another = users_->resembling(name_, true);
        const auto* user = users_->find(name_);
        static const auto k_key = random_octets(32);
        constexpr std::size_t k_salt = 16;  // as those who make such secrets have it
        secret_ = {another->scram.iterations,
                   hmac_sha256(k_key, name_).substr(0, k_salt),
                   random_octets(32),
                   {}};
        known_ = user != nullptr && user->has_scram();
        if (known_) secret_ = user->scram;
    }

    const std::shared_ptr<const Users> users_;
    std::string nonce_;  ///< ours; then the client's before it
    Awaited awaited_ = Awaited::first;
    std::string name_;
    bool known_ = false;
    ScramSecret secret_;
    std::string gs2_header_;
    std::string auth_message_;
};

}  // namespace

std::unique_ptr<SaslExchange> make_sasl_exchange(std::string_view mechanism,
                                                 std::shared_ptr<const Users> users,
                                                 std::string nonce) {
    if (equal_ignoring_case(mechanism, "PLAIN")) return std::make_unique<Plain>();
    if (equal_ignoring_case(mechanism, "LOGIN")) return std::make_unique<Login>();
    if (equal_ignoring_case(mechanism, "SCRAM-SHA-256") && users->has_scram()) {
        return std::make_unique<Scram>(std::move(users), std::move(nonce));
    }
    return nullptr;
}

std::string sasl_mechanisms(const Users& users) {
    return users.has_scram() ? "PLAIN LOGIN SCRAM-SHA-256" : "PLAIN LOGIN";
}

}  // namespace mailroot::smtp
