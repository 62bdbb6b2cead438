#include "dns/answer.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

using namespace mailroot::dns;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

constexpr int k_a = 1, k_cname = 5, k_soa = 6, k_mx = 15, k_aaaa = 28;

std::string two(unsigned value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string four(std::uint32_t value) {
    return two(value >> 16) + two(value & 0xffff);
}

/// `a.test` as the wire has it.
std::string name(const std::string& text) {
    std::string octets;
    for (std::size_t start = 0; start < text.size();) {
        const auto end = std::min(text.find('.', start), text.size());
        octets += static_cast<char>(end - start) + text.substr(start, end - start);
        start = end + 1;
    }
    return octets + '\0';
}

struct Rr {
    std::string owner;
    int type;
    std::uint32_t ttl;
    std::string data;
};

/// An answer to a question about `a.test`.
std::string message(const std::vector<Rr>& answers, const std::vector<Rr>& authority = {}) {
    std::string octets = two(1) + two(0x8180) + two(1) + two(answers.size()) +
                         two(authority.size()) + two(0) + name("a.test") + two(k_mx) + two(1);
    for (const auto* section : {&answers, &authority}) {
        for (const auto& record : *section) {
            octets += name(record.owner) + two(record.type) + two(1) + four(record.ttl) +
                      two(record.data.size()) + record.data;
        }
    }
    return octets;
}

std::span<const unsigned char> octets(const std::string& text) {
    return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

}  // namespace

TEST_CASE("an answer that ends too early is broken wherever it ends") {
    const auto whole = message(
        {{"a.test", k_cname, 60, name("b.test")}, {"b.test", k_mx, 60, two(10) + name("mx.test")}});
    REQUIRE(parse_mx(octets(whole), "a.test").status == Status::found);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        const auto answer = parse_mx(octets(whole.substr(0, length)), "a.test");
        CHECK(answer.status == Status::temporary);
        CHECK(answer.records.empty());
        CHECK(answer.error == "the answer about a.test is broken");
    }
}

TEST_CASE("a record whose data is no such data breaks the answer") {
    struct Row {
        int type;
        std::string data;
    };
    const Row mail[] = {
        {k_mx, ""},
        {k_mx, two(10)},
        {k_mx, two(10) + "\x05"},
        {k_mx, two(10) + "\xc0\xff"},
        {k_cname, ""},
        {k_cname, "\xc0\xff"},
    };
    for (const auto& row : mail) {
        CAPTURE(row.data);
        const auto text = message({{"a.test", row.type, 60, row.data}});
        CHECK(parse_mx(octets(text), "a.test").status == Status::temporary);
    }
    for (const auto* data : {"", "123", "12345"}) {
        const auto text = message({{"a.test", k_a, 60, data}});
        CHECK(parse_addresses(octets(text), "a.test", Family::ipv4).status == Status::temporary);
    }
    const auto text = message({{"a.test", k_aaaa, 60, "1234"}});
    CHECK(parse_addresses(octets(text), "a.test", Family::ipv6).status == Status::temporary);
}

TEST_CASE("aliases that lead in a circle break the answer") {
    const auto circle =
        message({{"a.test", k_cname, 60, name("b.test")}, {"b.test", k_cname, 60, name("a.test")}});
    CHECK(parse_mx(octets(circle), "a.test").status == Status::temporary);
    const auto itself = message({{"a.test", k_cname, 60, name("A.test")}});
    CHECK(parse_mx(octets(itself), "a.test").status == Status::temporary);
}

TEST_CASE("records of other names and types are no answer") {
    const auto text = message({{"other.test", k_mx, 60, two(10) + name("evil.test")},
                               {"a.test", k_a, 60, "\xc0\x01\x02\x03"}},
                              {{"a.test", k_mx, 60, two(10) + name("evil.test")}});
    const auto answer = parse_mx(octets(text), "a.test");
    CHECK(answer.status == Status::no_data);
    CHECK(answer.records.empty());
}

TEST_CASE("aliases are followed whatever the order of the records and the case of the names") {
    const auto text = message({{"C.test", k_mx, 300, two(10) + name("mx.test")},
                               {"B.TEST", k_cname, 200, name("c.test")},
                               {"A.test", k_cname, 100, name("b.test")}});
    const auto answer = parse_mx(octets(text), "a.test");
    CHECK(answer.status == Status::found);
    CHECK(answer.aliases == Names{"b.test", "c.test"});
    CHECK(answer.ttl == 100s);
}

TEST_CASE("the absence of records is known for the SOA's TTL or minimum, the smaller") {
    struct Row {
        std::uint32_t ttl, minimum;
        std::chrono::seconds known;
    };
    for (const auto& row : {Row{60, 600, 60s}, Row{600, 60, 60s}, Row{0xffffffff, 60, 0s}}) {
        CAPTURE(row.ttl);
        const auto soa = name("ns.test") + name("admin.test") + four(1) + four(2) + four(3) +
                         four(4) + four(row.minimum);
        const auto text = message({}, {{"test", k_soa, row.ttl, soa}});
        CHECK(parse_mx(octets(text), "a.test").ttl == row.known);
        CHECK(parse_addresses(octets(text), "a.test", Family::ipv4).ttl == row.known);
    }
    CHECK(parse_mx(octets(message({})), "a.test").ttl == 0s);
}

TEST_CASE("the names of an address are read behind a delegation's alias") {
    constexpr int k_ptr = 12;
    const std::string asked = "1.2.0.192.in-addr.arpa";
    const std::string own = "1.0/25.2.0.192.in-addr.arpa";  // RFC 2317
    const auto whole = message({{asked, k_cname, 300, name(own)},
                                {own, k_ptr, 60, name("mx.test")},
                                {own, k_ptr, 90, name("www.test")}});
    const auto answer = parse_names(octets(whole), asked);
    CHECK(answer.status == Status::found);
    CHECK(answer.names == Names{"mx.test", "www.test"});
    CHECK(answer.ttl == 60s);
    CHECK(parse_names(octets(message({})), asked).status == Status::no_data);
    CHECK(parse_names(octets(whole.substr(0, 60)), asked).status == Status::temporary);
}
