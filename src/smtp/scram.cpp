#include "smtp/scram.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <stdexcept>

namespace mailroot::smtp {

namespace {

constexpr std::size_t k_sha256 = 32;

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}

}  // namespace

std::string hmac_sha256(std::string_view key, std::string_view text) {
    std::string digest(k_sha256, '\0');
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(text), text.size(),
         bytes(digest), nullptr);
    return digest;
}

std::string sha256(std::string_view text) {
    std::string digest(k_sha256, '\0');
    EVP_Digest(text.data(), text.size(), bytes(digest), nullptr, EVP_sha256(), nullptr);
    return digest;
}

std::string random_octets(std::size_t count) {
    std::string octets(count, '\0');
    // Without them nobody can be told from an attacker who has seen the last exchange.
    if (RAND_bytes(bytes(octets), static_cast<int>(count)) != 1) {
        throw std::runtime_error("OpenSSL has no random numbers");
    }
    return octets;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

ScramSecret scram_secret(std::string_view password, std::string salt, int iterations) {
    std::string salted(k_sha256, '\0');
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes(salt),
                      static_cast<int>(salt.size()), iterations, EVP_sha256(),
                      static_cast<int>(salted.size()), bytes(salted));
    ScramSecret secret{iterations, std::move(salt), sha256(hmac_sha256(salted, "Client Key")),
                       hmac_sha256(salted, "Server Key")};
    OPENSSL_cleanse(salted.data(), salted.size());
    return secret;
}

bool is_proof(const ScramSecret& secret, std::string_view auth_message, std::string_view proof) {
    auto client_key = hmac_sha256(secret.stored_key, auth_message);  // ClientSignature as yet
    if (proof.size() != client_key.size()) return false;
    for (std::size_t i = 0; i < client_key.size(); ++i) {
        client_key[i] = static_cast<char>(client_key[i] ^ proof[i]);
    }
    return equal_in_constant_time(sha256(client_key), secret.stored_key);
}

}  // namespace mailroot::smtp
