#include "os/host.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

TEST_CASE("the machine's full name begins with its plain name or is another full one") {
    const auto name = mailroot::os::machine_name();
    REQUIRE_FALSE(name.empty());
    char plain[256] = {};
    REQUIRE(::gethostname(plain, sizeof plain - 1) == 0);
    CHECK((name.starts_with(plain) || name.find('.') != std::string::npos));
}
