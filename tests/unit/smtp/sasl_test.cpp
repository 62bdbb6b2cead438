#include "smtp/sasl.hpp"

#include "smtp/password.hpp"
#include "smtp/scram.hpp"

#include <doctest/doctest.h>

#include <crypt.h>

using namespace mailroot;
using namespace mailroot::smtp;

namespace {

// The example of RFC 7677 3: user "user", password "pencil".
const std::string k_scram_user =
    "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

std::string hash_of(const std::string& password, const char* method) {
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    REQUIRE(crypt_gensalt_rn(method, 0, nullptr, 0, setting, sizeof setting) != nullptr);
    crypt_data work{};
    return crypt_r(password.c_str(), setting, &work);
}

Users users_of(const std::string& text) {
    auto users = Users::parse(text);
    REQUIRE_MESSAGE(users, text);
    return *users;
}

/// A step in words.
std::string outcome(const SaslExchange::Step& step) {
    if (const auto* challenge = std::get_if<SaslExchange::Challenge>(&step))
        return "challenge " + challenge->octets;
    if (const auto* check = std::get_if<SaslExchange::CheckPassword>(&step))
        return "check " + check->name + ' ' + check->password;
    if (const auto* succeeded = std::get_if<SaslExchange::Succeeded>(&step))
        return "succeeded " + succeeded->name;
    const auto& failed = std::get<SaslExchange::Failed>(step);
    return failed.why == SaslExchange::Failed::Why::malformed ? "malformed"
                                                              : "wrong " + failed.name;
}

std::string with_nuls(std::string text) {
    for (auto& c : text) {
        if (c == '|') c = '\0';
    }
    return text;
}

std::unique_ptr<SaslExchange> exchange_of(const std::string& mechanism) {
    return make_sasl_exchange(mechanism, std::make_shared<Users>(users_of(k_scram_user)),
                              "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
}

const std::string k_client_first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const std::string k_server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const std::string k_client_final =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const std::string k_server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

}  // namespace

TEST_CASE("base64, and what is none") {
    for (const std::string octets : {"", "f", "fo", "foo", "foobar"}) {
        CHECK(decode_base64(encode_base64(octets)) == octets);
    }
    CHECK(encode_base64("fo") == "Zm8=");
    CHECK(decode_base64(encode_base64(std::string("\0\xff", 2))) == std::string("\0\xff", 2));
    for (const auto* text : {"Z", "Zm8", "Zm8= ", " Zm8", "Zm8=Zm8=", "Z===", "====", "Zm8?",
                             "=m8=", "Zm=8", "Zm8\n"}) {
        CAPTURE(text);
        CHECK_FALSE(decode_base64(text));
    }
}

TEST_CASE("PLAIN gives a name and a password, at once or when asked") {
    struct {
        std::string response, outcome;
    } const rows[] = {
        {"|joe|secret", "check joe secret"},
        {"joe|joe|secret", "check joe secret"},
        {"|j\xc3\xb6|s\xc3\xbc\xc3\x9f", "check j\xc3\xb6 s\xc3\xbc\xc3\x9f"},
        {"boss|joe|secret", "wrong joe"},
        {"", "malformed"},
        {"joe|secret", "malformed"},
        {"|joe|", "malformed"},
        {"||secret", "malformed"},
        {"|joe|sec|ret", "malformed"},
        {"|joe|\xff", "malformed"},
        {"|" + std::string(256, 'x') + "|secret", "malformed"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.response);
        CHECK(outcome(exchange_of("PLAIN")->start(with_nuls(row.response))) == row.outcome);
        const auto asked = exchange_of("plain");
        CHECK(outcome(asked->start(std::nullopt)) == "challenge ");
        CHECK(outcome(asked->resume(with_nuls(row.response))) == row.outcome);
    }
    const auto exchange = exchange_of("PLAIN");
    (void)exchange->start(with_nuls("|joe|secret"));
    CHECK(outcome(exchange->password_checked(true)) == "succeeded joe");
    CHECK(outcome(exchange->password_checked(false)) == "wrong joe");
}

TEST_CASE("LOGIN asks for both, or for the password alone") {
    const auto asked = exchange_of("LOGIN");
    CHECK(outcome(asked->start(std::nullopt)) == "challenge Username:");
    CHECK(outcome(asked->resume("joe")) == "challenge Password:");
    CHECK(outcome(asked->resume("secret")) == "check joe secret");
    CHECK(outcome(asked->password_checked(false)) == "wrong joe");
    const auto told = exchange_of("LOGIN");
    CHECK(outcome(told->start("joe")) == "challenge Password:");
    CHECK(outcome(told->resume("")) == "malformed");
}

TEST_CASE("SCRAM-SHA-256 as RFC 7677 has it") {
    const auto exchange = exchange_of("SCRAM-SHA-256");
    CHECK(outcome(exchange->start(k_client_first)) == "challenge " + k_server_first);
    CHECK(outcome(exchange->resume(k_client_final)) == "challenge " + k_server_final);
    CHECK(outcome(exchange->resume("")) == "succeeded user");
}

TEST_CASE("SCRAM: what is said wrong is malformed, what is not known fails at the proof") {
    for (const std::string first :
         {"", "n", "n,,", "n,,n=user", "n,,r=x,n=user", "p=tls-unique,,n=user,r=x", "x,,n=user,r=x",
          "n,,n=,r=x", "n,,n=user,r=", "n,,n=us=er,r=x", "n,,m=1,n=user,r=x"}) {
        CAPTURE(first);
        CHECK(outcome(exchange_of("SCRAM-SHA-256")->start(first)) == "malformed");
    }
    CHECK(outcome(exchange_of("SCRAM-SHA-256")->start("n,a=boss,n=user,r=x")) == "wrong user");
    CHECK(outcome(exchange_of("SCRAM-SHA-256")->start("y,a=user,n=user,r=x"))
              .starts_with("challenge r=x"));

    struct {
        std::string final, outcome;
    } const rows[] = {
        {"", "malformed"},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "malformed"},
        {"c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AAAA", "malformed"},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=AAAA", "malformed"},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=?", "malformed"},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AAAA", "wrong user"},
        {"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
         "p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         "wrong user"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.final);
        const auto exchange = exchange_of("SCRAM-SHA-256");
        (void)exchange->start(k_client_first);
        CHECK(outcome(exchange->resume(row.final)) == row.outcome);
    }
    const auto late = exchange_of("SCRAM-SHA-256");
    (void)late->start(k_client_first);
    (void)late->resume(k_client_final);
    CHECK(outcome(late->resume("more")) == "malformed");
}

TEST_CASE("SCRAM tells nobody which names there are") {
    const auto challenge = [] {
        const auto step = exchange_of("SCRAM-SHA-256")->start("n,,n=nobody,r=x");
        return outcome(step);
    };
    const auto first = challenge();
    CHECK(first.starts_with("challenge r=x%hv"));
    CHECK(first.ends_with(",i=4096"));
    CHECK(challenge() == first);
    const auto exchange = exchange_of("SCRAM-SHA-256");
    (void)exchange->start("n,,n=nobody,r=x");
    CHECK(outcome(exchange->resume("c=biws,r=x%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=" +
                                   encode_base64(std::string(32, 'x')))) == "wrong nobody");
}

TEST_CASE("a nonce of ours is not said twice") {
    const auto users = std::make_shared<Users>(users_of(k_scram_user));
    const auto one = outcome(make_sasl_exchange("SCRAM-SHA-256", users)->start(k_client_first));
    CHECK(one != outcome(make_sasl_exchange("SCRAM-SHA-256", users)->start(k_client_first)));
}

TEST_CASE("the mechanisms are those that somebody can use") {
    const auto plain = users_of("joe:" + hash_of("secret", "$6$"));
    CHECK(sasl_mechanisms(plain) == "PLAIN LOGIN");
    CHECK(make_sasl_exchange("SCRAM-SHA-256", std::make_shared<Users>(plain)) == nullptr);
    CHECK(make_sasl_exchange("CRAM-MD5", std::make_shared<Users>(plain)) == nullptr);
    CHECK(sasl_mechanisms(users_of(k_scram_user)) == "PLAIN LOGIN SCRAM-SHA-256");
}

TEST_CASE("a password is the user's, by whichever hash") {
    const auto users = users_of("a:" + hash_of("one", "$y$") + "\nb:" + hash_of("two", "$6$") +
                                "\nc:" + hash_of("three", "$2b$") + '\n' + k_scram_user);
    CHECK(verify_password(users, "a", "one"));
    CHECK(verify_password(users, "b", "two"));
    CHECK(verify_password(users, "c", "three"));
    CHECK(verify_password(users, "user", "pencil"));
    CHECK_FALSE(verify_password(users, "a", "two"));
    CHECK_FALSE(verify_password(users, "user", "pencils"));
    // The password of the user that an unknown name is held against.
    CHECK_FALSE(verify_password(users, "nobody", "one"));
    CHECK_FALSE(verify_password(Users(), "a", "one"));
}

TEST_CASE("a SCRAM secret made here is the one of RFC 7677") {
    const auto secret = scram_secret("pencil", *decode_base64("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
    CHECK(encode_base64(secret.stored_key) == "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
    CHECK(encode_base64(secret.server_key) == "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}
