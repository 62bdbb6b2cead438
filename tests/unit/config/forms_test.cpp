#include "config/forms.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot::config;

namespace {

struct Row {
    std::string text;
    bool fits;
};

}  // namespace

TEST_CASE("a domain is made of labels") {
    const Row rows[] = {
        {"mx.example.com", true},
        {"localhost", true},
        {"host_1.example", true},
        {"1.example", true},
        {std::string(63, 'a') + ".example", true},
        {std::string(64, 'a') + ".example", false},
        {"", false},
        {".", false},
        {"a..b", false},
        {".example", false},
        {"example.", false},
        {"-a.example", false},
        {"a-.example", false},
        {"a b", false},
        {"a@b", false},
        {"bücher.example", false},
        {"*.example", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_domain(row.text) == row.fits);
    }
    std::string long_domain = "a";
    while (long_domain.size() < 256) long_domain += ".a";
    CHECK_FALSE(is_domain(long_domain));
}

TEST_CASE("a domain pattern may begin with an asterisk, nothing else") {
    const Row rows[] = {
        {"example.com", true},
        {"*.example.com", true},
        {"bücher.example", true},
        {"*example.com", false},
        {"a.*.com", false},
        {"*.", false},
        {"*", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_domain_pattern(row.text) == row.fits);
    }
}

TEST_CASE("an address to listen at has a port") {
    const Row rows[] = {
        {"0.0.0.0:25", true},        {"[::]:25", true},         {"127.0.0.1:0", true},
        {"[fe80::1%eth0]:25", true}, {"0.0.0.0", false},        {"0.0.0.0:", false},
        {"0.0.0.0:65536", false},    {"0.0.0.0:-1", false},     {":25", false},
        {"::1:25", false},           {"[::1]", false},          {"256.0.0.1:25", false},
        {"1.2.3:25", false},         {"1.2.3.4.5:25", false},   {"1.2.3.4.:25", false},
        {"localhost:25", false},     {"[192.0.2.1]:25", false}, {"", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_listen_address(row.text) == row.fits);
    }
}

TEST_CASE("a word on TLS may stand behind an address to listen at") {
    CHECK(listen_entry("[::]:25").tls == "starttls");
    CHECK(listen_entry("0.0.0.0:465  implicit").address == "0.0.0.0:465");
    CHECK(listen_entry("0.0.0.0:465  implicit").tls == "implicit");
    for (const auto* word : {"starttls", "required", "implicit", "none"}) {
        CHECK(is_listen_address("[::1]:465 " + std::string(word)));
    }
    CHECK_FALSE(is_listen_address("[::1]:465 tls"));
    CHECK_FALSE(is_listen_address("[::1]:465 none none"));
}

TEST_CASE("a smart host is a name or an address in brackets, perhaps with a port") {
    const Row rows[] = {
        {"relay.example.com", true}, {"relay.example.com:587", true},
        {"[192.0.2.1]", true},       {"[192.0.2.1]:25", true},
        {"[2001:db8::1]:25", true},  {"[2001:db8::1]", true},
        {"relay:0", false},          {"relay:", false},
        {"relay:65536", false},      {"a b", false},
        {"[relay]", false},          {"2001:db8::1", false},
        {"[192.0.2.1", false},       {"", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_smart_host(row.text) == row.fits);
    }
    CHECK(smart_host("relay.example.com:587").host == "relay.example.com");
    CHECK(smart_host("relay.example.com:587").port == 587);
    CHECK(smart_host("[2001:db8::1]").host == "[2001:db8::1]");
    CHECK(smart_host("[2001:db8::1]").port == 0);
    CHECK(smart_host("[2001:db8::1]:26").port == 26);
}

TEST_CASE("an address is no name, and has no port") {
    const Row rows[] = {
        {"192.0.2.7", true},      {"2001:db8::7", true},   {"eth0", false},
        {"[2001:db8::7]", false}, {"192.0.2.7:25", false}, {"", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_address(row.text) == row.fits);
    }
}

TEST_CASE("a proxy is SOCKS5, with a port and without a password") {
    const Row rows[] = {
        {"socks5://proxy.example.com:1080", true},
        {"socks5://192.0.2.1:1080", true},
        {"socks5://[2001:db8::1]:1080", true},
        {"socks5://proxy.example.com", false},
        {"socks5://proxy.example.com:0", false},
        {"socks5://2001:db8::1:1080", false},
        {"socks5://joe:secret@proxy.example.com:1080", false},
        {"http://proxy.example.com:1080", false},
        {"proxy.example.com:1080", false},
        {"", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_proxy(row.text) == row.fits);
    }
}

TEST_CASE("a network is an address, perhaps with so many bits") {
    const Row rows[] = {
        {"192.0.2.0/24", true}, {"192.0.2.1", true},     {"0.0.0.0/0", true},
        {"192.0.2.1/32", true}, {"2001:db8::/32", true}, {"::1", true},
        {"::/128", true},       {"192.0.2.0/33", false}, {"::/129", false},
        {"192.0.2/24", false},  {"a.example/8", false},  {"", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_network(row.text) == row.fits);
    }
}

TEST_CASE("a name server's address may have a port") {
    const Row rows[] = {
        {"192.0.2.53", true},
        {"2001:db8::53", true},
        {"192.0.2.53:5353", true},
        {"[2001:db8::53]:53", true},
        {"192.0.2.53:0", false},
        {"dns.example", false},
        {"", false},
        {"192.0.2", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(is_server_address(row.text) == row.fits);
    }
}
