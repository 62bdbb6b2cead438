#include "delivery/tls_policy.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;
using smtp::TlsPolicy;

TEST_CASE("the policy of a domain is its own, else that of all") {
    config::Settings settings;
    CHECK(tls_policy(settings, "a.example") == TlsPolicy::may);
    settings.delivery.tls = "encrypt";
    settings.domains.remote["a.example"].tls = "verify";
    settings.domains.remote["*.example"].tls = "none";
    settings.domains.remote["b.example"].relay = true;
    CHECK(tls_policy(settings, "A.example") == TlsPolicy::verify);
    CHECK(tls_policy(settings, "c.example") == TlsPolicy::none);
    CHECK(tls_policy(settings, "b.example") == TlsPolicy::encrypt);
    CHECK(tls_policy(settings, "a.test") == TlsPolicy::encrypt);
}

TEST_CASE("a password goes in the clear where that is said, a token never") {
    for (const bool by_token : {false, true}) {
        CAPTURE(by_token);
        const auto clear = by_token ? TlsPolicy::encrypt : TlsPolicy::none;
        CHECK(tls_policy_of_login(TlsPolicy::none, by_token) == clear);
        CHECK(tls_policy_of_login(TlsPolicy::may, by_token) == TlsPolicy::encrypt);
        CHECK(tls_policy_of_login(TlsPolicy::encrypt, by_token) == TlsPolicy::encrypt);
        CHECK(tls_policy_of_login(TlsPolicy::verify, by_token) == TlsPolicy::verify);
    }
}

TEST_CASE("a policy is named as it is set") {
    config::Settings settings;
    for (const auto* name : {"none", "may", "encrypt", "verify"}) {
        settings.delivery.tls = name;
        CHECK(name_of(tls_policy(settings, "a.example")) == name);
    }
}
