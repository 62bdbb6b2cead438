#include "smtp/proxy_header.hpp"

#include <doctest/doctest.h>

#include <string>

using mailroot::smtp::ProxyHeader;
using State = ProxyHeader::State;

namespace {

const std::string k_start("\r\n\r\n\0\r\nQUIT\n", 12);

std::string binary(const std::string& head, const std::string& rest) {
    const auto length = rest.size();
    return k_start + head + static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) +
           rest;
}

const std::string k_ipv4("\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x00\x19", 12);
const std::string k_ipv6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" +
                           std::string(16, '\x02') + std::string("\xdc\x04\x00\x19", 4);
const std::string k_mapped = std::string(10, '\0') + "\xff\xff\xc0" + std::string(1, '\0') +
                             "\x02\x01" + std::string(16, '\x02') +
                             std::string("\xdc\x04\x00\x19", 4);

}  // namespace

TEST_CASE("for whom a proxy speaks") {
    struct {
        std::string octets;
        std::string source;  // "" where it is not said
    } const rows[] = {
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n", "192.0.2.1 56324"},
        {"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "2001:db8::1 1"},
        {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", "192.0.2.1 1"},
        {"PROXY UNKNOWN\r\n", ""},
        {"PROXY UNKNOWN ffff::1 whatever\r\n", ""},
        {binary("\x21\x11", k_ipv4), "192.0.2.1 56324"},
        {binary("\x21\x11", k_ipv4 + "\x03 TLV"), "192.0.2.1 56324"},
        {binary("\x21\x21", k_ipv6), "2001:db8::1 56324"},
        {binary("\x21\x21", k_mapped), "192.0.2.1 56324"},
        {binary(std::string("\x20\x00", 2), ""), ""},
        {binary("\x20\x11", k_ipv4), ""},                 // LOCAL: a health check
        {binary(std::string("\x21\x00", 2), "abc"), ""},  // AF_UNSPEC
        {binary("\x21\x31", std::string(216, 'x')), ""},  // AF_UNIX
    };
    for (const auto& row : rows) {
        CAPTURE(row.octets);
        ProxyHeader header;
        for (std::size_t i = 0; i < row.octets.size(); ++i) {
            REQUIRE(header.state() == State::incomplete);
            header.feed(row.octets.substr(i, 1));
        }
        REQUIRE(header.state() == State::whole);
        const auto& source = header.source();
        CHECK((source ? source->address + ' ' + std::to_string(source->port) : "") == row.source);
    }
}

TEST_CASE("what is no PROXY header is seen at once, and has no source") {
    const std::string rows[] = {
        "E",
        "EHLO client.test\r\n",
        "PROXZ",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25 1\r\n",
        "PROXY TCP4 2001:db8::1 192.0.2.2 56324 25\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 56324 25\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 5 25\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 56324 25\r\n",
        "PROXY UNKNOWN " + std::string(93, 'x'),
        "\r\n\r\nX",
        binary("\x11\x11", k_ipv4),
        binary("\x22\x11", k_ipv4),
        binary("\x21\x11", k_ipv4.substr(1)),
        binary("\x21\x21", k_ipv4),
        k_start + "\x21\x11\xff\xff",
    };
    for (const auto& row : rows) {
        CAPTURE(row);
        ProxyHeader header;
        header.feed(row);
        CHECK(header.state() == State::malformed);
        CHECK_FALSE(header.reason().empty());
        CHECK_FALSE(header.source());
    }
    ProxyHeader behind;
    behind.feed("PROXY UNKNOWN\r\nEHLO");
    CHECK(behind.state() == State::malformed);
}
