#include "smtp/users.hpp"

#include "core/text.hpp"
#include "message/idn.hpp"
#include "smtp/base64.hpp"
#include "smtp/scram.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace mailroot::smtp {

namespace {

constexpr std::string_view k_scram = "SCRAM-SHA-256$";
constexpr std::size_t k_sha256 = 32;

tl::unexpected<Error> refused(std::string what) {
    return fail(Error::Kind::config, std::move(what));
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (;;) {
        line.remove_prefix(std::min(line.find_first_not_of(k_blanks), line.size()));
        if (line.empty()) return words;
        words.push_back(line.substr(0, line.find_first_of(k_blanks)));
        line.remove_prefix(words.back().size());
    }
}

/// `4096:SALT$STOREDKEY:SERVERKEY`
std::optional<ScramSecret> parse_scram(std::string_view text) {
    constexpr int k_least = 4096;  // RFC 7677 4
    constexpr int k_most = 10'000'000;
    ScramSecret secret;
    const auto iterations = take_until(text, ':');
    const auto end = iterations.data() + iterations.size();
    const auto [stop, error] = std::from_chars(iterations.data(), end, secret.iterations);
    const auto salt = decode_base64(take_until(text, '$'));
    const auto stored_key = decode_base64(take_until(text, ':'));
    const auto server_key = decode_base64(text);
    const bool whole = stop == end && error == std::errc{} && secret.iterations >= k_least &&
                       secret.iterations <= k_most && salt && !salt->empty() && stored_key &&
                       stored_key->size() == k_sha256 && server_key &&
                       server_key->size() == k_sha256;
    if (!whole) return std::nullopt;
    secret.salt = *salt;
    secret.stored_key = *stored_key;
    secret.server_key = *server_key;
    return secret;
}

/// A method of crypt(3) that makes guessing slow (crypt(5)), and how long its hash is behind the
/// last
/// `$`.
struct HashMethod {
    std::string_view prefix;
    std::size_t length;
};
constexpr std::array k_methods{
    HashMethod{"$y$", 43}, HashMethod{"$gy$", 43}, HashMethod{"$7$", 43},  HashMethod{"$6$", 86},
    HashMethod{"$5$", 43}, HashMethod{"$2b$", 53}, HashMethod{"$2a$", 53}, HashMethod{"$2y$", 53}};

/// Null where it is of no such method.
const HashMethod* method_of(std::string_view hash) {
    const auto method = std::ranges::find_if(
        k_methods, [hash](const HashMethod& each) { return hash.starts_with(each.prefix); });
    return method == k_methods.end() ? nullptr : &*method;
}

/// `a@b.test`, `@b.test`, `@*.b.test`
bool is_sender(std::string_view text) {
    if (!text.starts_with('@')) {
        const auto address = parse_address(text);
        return address && !address->domain.empty();
    }
    text.remove_prefix(text.starts_with("@*.") ? 3 : 1);
    return !text.empty() && text.find('@') == std::string_view::npos;
}

/// Domains are compared by A-labels, in which each has one form.
std::string ascii_domain(std::string_view domain) {
    auto ascii = message::ascii_domain(domain);
    return std::string(ascii ? *ascii : domain);
}

bool matches(std::string_view pattern, const Address& address) {
    const auto domain = ascii_domain(address.domain);
    const auto at = pattern.rfind('@');
    const auto local_part = pattern.substr(0, at);
    if (!matches_domain(ascii_domain(pattern.substr(at + 1)), domain)) return false;
    // Nobody tells mailboxes apart by the case of their letters, though RFC 5321 2.4 would.
    return local_part.empty() ||
           equal_ignoring_case(unquoted(local_part), unquoted(address.local_part));
}

}  // namespace

Result<Users> Users::parse(std::string_view text) {
    Users users;
    for (int number = 1; !text.empty(); ++number) {
        const auto line = take_until(text, '\n');
        if (auto added = users.add(line); !added) {
            return fail(std::move(added), "line " + std::to_string(number));
        }
    }
    return users;
}

Result<void> Users::add(std::string_view line) {
    const auto words = words_of(line);
    if (words.empty() || words.front().starts_with('#')) return {};
    auto hash = words.front();
    const std::string name(take_until(hash, ':'));
    if (name.empty() || hash.empty()) return refused("expected name:hash");

    User user;
    if (hash.starts_with(k_scram)) {
        auto secret = parse_scram(hash.substr(k_scram.size()));
        if (!secret) {
            return refused(
                "expected SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY, in base64, "
                "with at least 4096 iterations");
        }
        user.scram = std::move(*secret);
    } else {
        const auto* method = method_of(hash);
        if (method == nullptr) {
            return refused("the hash of '" + name +
                           "' is of no kind that is slow to guess; make one with mkpasswd -m "
                           "yescrypt or openssl passwd -6");
        }
        if (hash.size() - hash.rfind('$') - 1 != method->length) {
            return refused("the hash of '" + name + "' is not whole, or something follows it");
        }
        user.hash = hash;
    }
    for (std::size_t i = 1; i < words.size(); ++i) {
        const std::string sender(words[i]);
        if (!is_sender(sender)) {
            return refused("'" + sender + "' is no sender such as a@example.com or @example.com");
        }
        user.senders.push_back(sender);
    }
    if (!users_.emplace(name, std::move(user)).second) {
        return refused("there is a '" + name + "' already");
    }
    return {};
}

const User* Users::find(std::string_view name) const {
    const auto user = users_.find(name);
    return user == users_.end() ? nullptr : &user->second;
}

bool Users::has_scram() const {
    return std::ranges::any_of(users_, [](const auto& entry) { return entry.second.has_scram(); });
}

const User* Users::resembling(std::string_view name, bool scram) const {
    static const auto k_key = random_octets(32);
    const auto fits = [scram](const auto& entry) { return !scram || entry.second.has_scram(); };
    const auto count = std::ranges::count_if(users_, fits);
    if (count == 0) return nullptr;
    // Drawn from the name, as nobody else can draw it.
    std::uint32_t number = 0;
    const auto drawn = hmac_sha256(k_key, name);
    std::memcpy(&number, drawn.data(), sizeof number);
    auto left = number % static_cast<std::uint32_t>(count);
    const auto chosen =
        std::ranges::find_if(users_, [&](const auto& entry) { return fits(entry) && left-- == 0; });
    return &chosen->second;
}

bool Users::may_send_as(std::string_view name, const Address& reverse_path) const {
    const auto* user = find(name);
    if (user == nullptr) return false;
    return user->senders.empty() || reverse_path.is_null() ||
           std::ranges::any_of(user->senders, [&](const std::string& pattern) {
               return matches(pattern, reverse_path);
           });
}

}  // namespace mailroot::smtp
