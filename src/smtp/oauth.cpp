#include "smtp/oauth.hpp"

#include "core/address.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace mailroot::smtp {

namespace {

using Json = nlohmann::json;
using std::chrono::seconds;

// RFC 6749 5.1 wants `expires_in` to be said, but does not demand it.
constexpr seconds k_lasts_if_not_said{300};
constexpr seconds k_longest = std::chrono::hours(24) * 365;

/// As a form has it (RFC 6749 appendix B).
std::string encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string form;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') ||
                           std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain) {
            form += c;
        } else {
            form += {'%', digits[octet >> 4], digits[octet & 15]};
        }
    }
    return form;
}

/// The words of another machine, fit for a line of ours.
std::string fit(std::string text) {
    constexpr std::size_t k_longest_words = 300;
    // Between two words: a part of a secret would not be known for one.
    if (text.size() > k_longest_words) {
        const auto blank = text.rfind(' ', k_longest_words);
        text = blank == std::string::npos ? "..." : text.substr(0, blank) + " ...";
    }
    std::ranges::replace_if(
        text, [](char c) { return c < ' ' || c > '~'; }, ' ');
    return text;
}

std::string text_in(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// A number, which some endpoints write as a text.
seconds lasts(const Json& json) {
    const auto found = json.find("expires_in");
    if (found == json.end()) return k_lasts_if_not_said;
    const auto text = found->is_string() ? found->get<std::string>() : found->dump();
    seconds::rep count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{} || count < 0) return k_lasts_if_not_said;
    return std::min(seconds{count}, k_longest);
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

tl::unexpected<Error> refused(std::string what) {
    return fail(Error::Kind::unavailable, fit(std::move(what)));
}

}  // namespace

HttpPost token_post(const TokenRequest& request) {
    HttpPost post{request.endpoint, "grant_type="};
    const auto add = [&post](std::string_view key, std::string_view value) {
        if (!value.empty()) post.form += '&' + std::string(key) + '=' + encoded(value);
    };
    post.form += request.refresh_token.empty() ? "client_credentials" : "refresh_token";
    add("refresh_token", request.refresh_token);
    add("scope", request.scope);
    if (request.authentication == ClientAuthentication::basic) {
        post.user = encoded(request.client_id);
        post.password = encoded(request.client_secret);
    } else {
        add("client_id", request.client_id);
        add("client_secret", request.client_secret);
    }
    return post;
}

Result<TokenAnswer> read_token_answer(const HttpAnswer& answer) {
    const auto status = "HTTP " + std::to_string(answer.status);
    const auto json = Json::parse(answer.body, nullptr, false);
    if (!json.is_object()) return refused(status + ", and the answer is no JSON object");
    if (const auto error = text_in(json, "error"); !error.empty()) {
        const auto description = text_in(json, "error_description");
        return refused(error + (description.empty() ? "" : ": " + description));
    }
    if (answer.status != 200) return refused(status + " without a reason");
    TokenAnswer token{text_in(json, "access_token"), lasts(json), text_in(json, "refresh_token")};
    if (!is_token(token.access_token)) return refused("there is no access_token in the answer");
    const auto type = text_in(json, "token_type");
    if (!type.empty() && !equal_ignoring_case(type, "Bearer"))
        return refused("the token is none for a login: its token_type is not Bearer");
    // What could not be read back is not kept in place of one that can.
    if (!token.refresh_token.empty() && !is_token(token.refresh_token))
        return refused("the refresh_token in the answer is none");
    return token;
}

}  // namespace mailroot::smtp
