#include "message/idn.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;
using namespace mailroot::message;

TEST_CASE("a domain becomes what DNS has for it") {
    struct Row {
        std::string domain, ascii;
    };
    const Row rows[] = {
        {"example.com", "example.com"},
        {"Example.COM", "Example.COM"},
        {"", ""},
        {"_25._tcp.host_1", "_25._tcp.host_1"},
        {"r3---sn.-x-.example", "r3---sn.-x-.example"},
        {"[192.0.2.1]", "[192.0.2.1]"},
        {"[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"bücher.example", "xn--bcher-kva.example"},
        {"BÜCHER.Example", "xn--bcher-kva.Example"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example"},
        {"faß.de", "xn--fa-hia.de"},  // IDNA2003 would make it fass.de
        {"host_1.r3---sn.bücher.example", "host_1.r3---sn.xn--bcher-kva.example"},
        {"例え.テスト", "xn--r8jz45g.xn--zckzah"},
        {"例え。テスト", "xn--r8jz45g.xn--zckzah"},
        {"אב.example", "xn--4dbc.example"},
        {"bücher.example.", "xn--bcher-kva.example."},
    };
    for (const auto& row : rows) {
        CAPTURE(row.domain);
        const auto ascii = ascii_domain(row.domain);
        REQUIRE_MESSAGE(ascii, ascii.error().what);
        CHECK(*ascii == row.ascii);
    }
}

TEST_CASE("a label that cannot be one is refused") {
    std::string many_labels;
    while (many_labels.size() < 240) many_labels += "bücher.";
    const std::string long_label = "ü" + std::string(60, 'a');
    const std::string rows[] = {
        "b\xfc"
        "cher.example",          // ISO 8859-1
        "\xc3.example",          // cut off
        "\xed\xa0\x80.example",  // a surrogate
        std::string("b\xc3\xbc\0c.example", 13),
        "a\xe2\x80\xa8"
        "b.example",  // a line separator
        long_label + ".example",
        many_labels + "example",
    };
    for (const auto& row : rows) {
        CAPTURE(row);
        const auto ascii = ascii_domain(row);
        REQUIRE_FALSE(ascii);
        CHECK(ascii.error().kind == Error::Kind::parse);
    }
}
