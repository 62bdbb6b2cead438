#pragma once

#include "core/result.hpp"
#include "smtp/http_client.hpp"

#include <chrono>
#include <string>

/// Tokens for a login, asked for at a token endpoint (RFC 6749). Pure: text in, text out.
namespace mailroot::smtp {

/// How a client shows its secret (RFC 6749 2.3.1).
enum class ClientAuthentication { body, basic };

struct TokenRequest {
    std::string endpoint{};
    std::string client_id{};
    std::string client_secret{};  ///< empty: a public client, which has none
    ClientAuthentication authentication = ClientAuthentication::body;
    std::string refresh_token{};  ///< in whose stead a token is wanted; empty: in the client's own
    std::string scope{};          ///< what for; empty: not said
};

/// What is sent: the grant refresh_token (RFC 6749 6), or client_credentials (4.4).
[[nodiscard]] HttpPost token_post(const TokenRequest& request);

struct TokenAnswer {
    std::string access_token{};
    std::chrono::seconds lasts{0};
    std::string refresh_token{};  ///< to be used from now on; empty: the old one
};

/// What came. Kind::unavailable has the endpoint's `error` and `error_description`, or says that
/// the answer is none.
Result<TokenAnswer> read_token_answer(const HttpAnswer& answer);

}  // namespace mailroot::smtp
