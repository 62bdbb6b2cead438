#include "smtp/networks.hpp"

#include <doctest/doctest.h>

using mailroot::smtp::Networks;

TEST_CASE("an address lies in a network, or not") {
    const auto networks = Networks::parse({"192.0.2.0/24", "198.51.100.7", "2001:db8::/33", "::1"});
    REQUIRE(networks);
    for (const auto* inside : {"192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8::1",
                               "2001:db8:7fff::", "::1", "::ffff:192.0.2.9", "2001:db8::1%eth0"}) {
        CAPTURE(inside);
        CHECK(networks->contains(inside));
    }
    for (const auto* outside : {"192.0.3.0", "192.0.1.255", "198.51.100.6", "2001:db8:8000::",
                                "2001:db7::", "::2", "", "nonsense", "::c000:209"}) {
        CAPTURE(outside);
        CHECK_FALSE(networks->contains(outside));
    }
    CHECK(Networks::parse({"0.0.0.0/0"})->contains("203.0.113.1"));
    CHECK_FALSE(Networks::parse({"0.0.0.0/0"})->contains("2001:db8::1"));
    CHECK(Networks::parse({"::/0"})->contains("203.0.113.1"));
    CHECK_FALSE(Networks().contains("192.0.2.1"));
    CHECK(Networks().empty());
}

TEST_CASE("what is no network is named") {
    for (const auto* text : {"", "/", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1",
                             "192.0.2.0/24x", "::1/129", "here.test", "fe80::1%eth0"}) {
        const auto networks = Networks::parse({"::1", text});
        REQUIRE_FALSE(networks);
        CHECK(networks.error().what.starts_with("'" + std::string(text) + "' is no network"));
    }
    CHECK(Networks::parse({"192.0.2.1/24"}).error().what.find("192.0.2.0/24 is meant") !=
          std::string::npos);
    CHECK(Networks::parse({"2001:db8::1/32"}).error().what.find("2001:db8::/32 is meant") !=
          std::string::npos);
}
