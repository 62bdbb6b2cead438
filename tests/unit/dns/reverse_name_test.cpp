#include "dns/reverse_name.hpp"

#include <doctest/doctest.h>

using mailroot::dns::reverse_name;

TEST_CASE("an address stands backwards in its name") {
    CHECK(reverse_name("192.0.2.1") == "1.2.0.192.in-addr.arpa");
    CHECK(reverse_name("192.0.2.1", "list.example") == "1.2.0.192.list.example");
    CHECK(reverse_name("2001:db8::12") ==
          "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    CHECK(reverse_name("fe80::1%eth0") == reverse_name("fe80::1"));
    CHECK(reverse_name("example.com") == "");
    CHECK(reverse_name("") == "");
}
