#include "smtp/tls.hpp"

#include "scratch_folder.hpp"

#include <doctest/doctest.h>

#include <fstream>

using namespace mailroot;
using namespace std::chrono_literals;

namespace {

const std::string k_folder = std::string(MAILROOT_TESTS) + "/tls/";
const auto k_certificate = k_folder + "certificate.pem";
const auto k_key = k_folder + "key.pem";

/// What loading says is wrong.
std::string refusal(const std::string& certificate, const std::string& key) {
    const auto context = smtp::TlsContext::load(certificate, key);
    if (context) return "";
    CHECK(context.error().kind == Error::Kind::config);
    return context.error().what;
}

std::string text_of(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a certificate and its key are read, from two files or from one") {
    const auto two = smtp::TlsContext::load(k_certificate, k_key);
    REQUIRE_MESSAGE(two, two.error().what);
    CHECK((*two)->not_after() > std::chrono::system_clock::now() + 24h * 365);
    const ScratchFolder folder;
    CHECK(smtp::TlsContext::load(folder.write("both.pem", text_of(k_certificate) + text_of(k_key)),
                                 ""));
}

TEST_CASE("what cannot be used is named, with the reason") {
    CHECK(refusal("/no/such/certificate", k_key).starts_with("/no/such/certificate: "));
    CHECK(refusal(k_certificate, "/no/such/key").starts_with("/no/such/key: "));
    CHECK(refusal(k_certificate, "").starts_with(k_certificate + ": "));
    CHECK(refusal(k_key, k_key).starts_with(k_key + ": no certificate can be read"));
    CHECK(refusal(k_certificate, k_certificate).starts_with(k_certificate + ": "));
    CHECK(refusal(k_certificate, k_folder + "other_key.pem") ==
          k_folder + "other_key.pem: is not the key of " + k_certificate);
    const ScratchFolder folder;
    const auto torn = folder.write("torn.pem", text_of(k_key).substr(0, 100)).string();
    CHECK(refusal(k_certificate, torn).starts_with(torn + ": "));
}
