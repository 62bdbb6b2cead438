#include "smtp/oauth.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace mailroot;
using namespace mailroot::smtp;
using namespace std::chrono_literals;

TEST_CASE("a client asks in its own name, with its secret in the form") {
    const TokenRequest request{.endpoint = "https://login.example/token",
                               .client_id = "an id",
                               .client_secret = "a&b=c~",
                               .authentication = ClientAuthentication::body,
                               .refresh_token = "",
                               .scope = "https://outlook.office365.com/.default"};
    const auto post = token_post(request);
    CHECK(post.url == "https://login.example/token");
    CHECK(post.form ==
          "grant_type=client_credentials&scope=https%3A%2F%2Foutlook.office365.com%2F.default"
          "&client_id=an%20id&client_secret=a%26b%3Dc~");
    CHECK(post.user.empty());
}

TEST_CASE("a client asks for a user, with its secret by HTTP Basic") {
    TokenRequest request{.endpoint = "https://login.example/token",
                         .client_id = "id:1",
                         .client_secret = "s\xc3\xa4",
                         .authentication = ClientAuthentication::basic,
                         .refresh_token = "1//r",
                         .scope = ""};
    auto post = token_post(request);
    CHECK(post.form == "grant_type=refresh_token&refresh_token=1%2F%2Fr");
    CHECK(post.user == "id%3A1");
    CHECK(post.password == "s%C3%A4");
    // A public client has no secret, and says who it is all the same.
    request.authentication = ClientAuthentication::body;
    request.client_secret.clear();
    post = token_post(request);
    CHECK(post.form == "grant_type=refresh_token&refresh_token=1%2F%2Fr&client_id=id%3A1");
}

TEST_CASE("a token is read, and how long it lasts") {
    struct Row {
        std::string body;
        std::chrono::seconds lasts;
        std::string refresh_token;
    };
    for (const auto& row : std::vector<Row>{
             {R"({"access_token": "t", "token_type": "Bearer", "expires_in": 3599})", 3599s, ""},
             {R"({"access_token": "t", "token_type": "bearer", "expires_in": "60"})", 60s, ""},
             {R"({"access_token": "t", "refresh_token": "r"})", 300s, "r"},
             {R"({"access_token": "t", "expires_in": -1})", 300s, ""},
             {R"({"access_token": "t", "expires_in": null})", 300s, ""},
             {R"({"access_token": "t", "expires_in": 999999999999999})", 365 * 24h, ""},
         }) {
        CAPTURE(row.body);
        const auto token = read_token_answer({200, row.body});
        REQUIRE_MESSAGE(token, token.error().what);
        CHECK(token->access_token == "t");
        CHECK(token->lasts == row.lasts);
        CHECK(token->refresh_token == row.refresh_token);
    }
}

TEST_CASE("an answer without a token says why") {
    struct Row {
        int status;
        std::string body;
        std::string said;
    };
    const Row rows[] = {
        {400, R"({"error": "invalid_grant", "error_description": "AADSTS70008:\r\nexpired"})",
         "invalid_grant: AADSTS70008:  expired"},
        {401, R"({"error": "invalid_client"})", "invalid_client"},
        {200, R"({"error": "x"})", "x"},
        {503, R"({})", "HTTP 503 without a reason"},
        {502, "<html>bad gateway</html>", "HTTP 502, and the answer is no JSON object"},
        {200, "", "HTTP 200, and the answer is no JSON object"},
        {200, "[1]", "HTTP 200, and the answer is no JSON object"},
        {200, R"({"access_token": ""})", "there is no access_token in the answer"},
        {200, R"({"access_token": 7})", "there is no access_token in the answer"},
        {200, R"({"access_token": "a\u0001b"})", "there is no access_token in the answer"},
        {200, R"({"access_token": "t", "token_type": "mac"})",
         "the token is none for a login: its token_type is not Bearer"},
        {400, R"({"error": ")" + std::string(400, 'e') + R"("})", "..."},
        {400, R"({"error": "no )" + std::string(400, 'e') + R"("})", "no ..."},
        {200, R"({"access_token": "t", "refresh_token": "a b"})",
         "the refresh_token in the answer is none"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.body);
        const auto token = read_token_answer({row.status, row.body});
        REQUIRE_FALSE(token);
        CHECK(token.error().kind == Error::Kind::unavailable);
        CHECK(token.error().what == row.said);
    }
}
