#include "core/address.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;

TEST_CASE("an address is read as RFC 5321 writes it") {
    struct Row {
        std::string text, local_part, domain;
    };
    const Row rows[] = {
        {"a@b.example", "a", "b.example"},
        {"first.last+tag@B.Example", "first.last+tag", "B.Example"},
        {"\"a b\\\"c\"@b.example", "\"a b\\\"c\"", "b.example"},
        {"\"a@x\"@b.example", "\"a@x\"", "b.example"},
        {"a@[192.0.2.1]", "a", "[192.0.2.1]"},
        {"a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"},
        {"jörg@bücher.example", "jörg", "bücher.example"},
        {"a@host_1", "a", "host_1"},
        {"postmaster", "postmaster", ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto address = parse_address(row.text);
        REQUIRE(address);
        CHECK(address->local_part == row.local_part);
        CHECK(address->domain == row.domain);
        CHECK(address->text() == row.text);
    }
}

TEST_CASE("what is no address is refused") {
    const std::string rows[] = {
        "",
        "@b.example",
        "a@",
        "a b@c.example",
        "a@b..example",
        "a@.b",
        "a@b.",
        "\"a@b.example",
        "a@b@c",
        "a@[192.0.2.1",
        "a@[]",
        "a\r\n@b.example",
        "\"a\nb\"@c.example",
        "a@b.example\n",
        std::string(65, 'a') + "@b.example",
        "a@" + std::string(256, 'b'),
    };
    for (const auto& row : rows) {
        CAPTURE(row);
        const auto address = parse_address(row);
        REQUIRE_FALSE(address);
        CHECK(address.error().kind == Error::Kind::parse);
        CHECK(address.error().what.find('\n') == std::string::npos);
    }
}

TEST_CASE("a path stands in brackets, and its end is told") {
    struct Row {
        std::string text, address;
        std::size_t length;
    };
    const Row rows[] = {
        {"<a@b.example> SIZE=5", "a@b.example", 13},
        {"<>", "", 2},
        {"<@relay.example,@other.example:a@b.example>", "a@b.example", 43},
        {"<@[IPv6:2001:db8::1]:a@b.example>", "a@b.example", 33},
        {"<Postmaster>", "Postmaster", 12},
        {"<\">\"@b.example>x", "\">\"@b.example", 15},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        std::size_t length = 0;
        const auto address = parse_path(row.text, length);
        REQUIRE(address);
        CHECK(address->text() == row.address);
        CHECK(length == row.length);
    }
    std::size_t length = 0;
    for (const auto* text : {"a@b.example", "<a@b.example", "<@relay.example>", "<a@b c>"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_path(text, length));
    }
}

TEST_CASE("domains compare without regard to case, local parts do not") {
    CHECK(Address{"a", "B.example"} == Address{"a", "b.EXAMPLE"});
    CHECK_FALSE(Address{"A", "b.example"} == Address{"a", "b.example"});
    CHECK(Address{}.is_null());
}
