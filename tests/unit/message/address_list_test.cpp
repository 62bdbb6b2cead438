#include "message/address_list.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;
using namespace mailroot::message;

namespace {

std::string joined(const std::vector<Address>& addresses) {
    std::string text;
    for (const auto& address : addresses) {
        if (!text.empty()) text += ' ';
        text += address.text();
    }
    return text;
}

}  // namespace

TEST_CASE("the mailboxes of an address list are found") {
    struct Row {
        std::string value, addresses;
    };
    const Row rows[] = {
        {"", ""},
        {" \r\n ", ""},
        {"a@b", "a@b"},
        {"a@b, <c@d>", "a@b c@d"},
        {" , a@b,, c@d ,", "a@b c@d"},
        {"Ann Other <a@b>,\r\n\t\"Bob, Jr. <x>\" <c@d>", "a@b c@d"},
        {"J. R. O'Neil <a@b>", "a@b"},
        {"x@y <a@b>", "a@b"},
        {"<a@b>(Ann),c@d (Bob (the (nested\\)) one), really)", "a@b c@d"},
        {"(first) a (mid) @ b . (x) example", "a@b.example"},
        {"a. b@c", "a.b@c"},
        {"\"a b\"@c, \"q\\\"x,y\"@z", "\"a b\"@c \"q\\\"x,y\"@z"},
        {"< a@b >", "a@b"},
        {"<@x,@y.z:a@b>", "a@b"},
        {"Friends: a@b, Bob <c@d>;, e@f", "a@b c@d e@f"},
        {"undisclosed-recipients:;", ""},
        {"undisclosed-recipients:", ""},
        {"\"us@them\": a@b;", "a@b"},
        {"a@b; c@d", "a@b c@d"},
        {"postmaster, <root>", "postmaster root"},
        {"=?utf-8?B?SsO2cmc=?=\r\n =?utf-8?Q?_K=C3=B6nig?= <a@b>", "a@b"},
        {"=?utf-8?Q?Foo,_\"Bar\"_<x>?= <a@b>, c@d", "a@b c@d"},
        {"Jörg Müller <a@b>, jörg@bücher.example", "a@b jörg@bücher.example"},
        {"a@[IPv6:2001:db8::1], Bob [x] <b@[192.0.2.1]>", "a@[IPv6:2001:db8::1] b@[192.0.2.1]"},
        {"bounce+a=b@c", "bounce+a=b@c"},
        {"<a@b> , <a@b>", "a@b a@b"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.value);
        const auto addresses = parse_address_list(row.value);
        REQUIRE_MESSAGE(addresses, addresses.error().what);
        CHECK(joined(*addresses) == row.addresses);
    }
}

TEST_CASE("what is no address list is refused in a short line") {
    const std::string rows[] = {
        "a b@c",
        "a@b c@d",
        "<a@b> c@d",
        "<a@b> <c@d>",
        "Ann <a@b",
        "a@b>",
        "Ann <<a@b>>",
        "\"Ann <a@b>",
        "(Ann <a@b>",
        "a@b (",
        "<>",
        "Ann <>",
        "<@x>",
        "a@b: c@d",
        "<a@b>: c@d",
        "a@[192.0.2.1",
        "a@",
        "@b",
        "<a@b> NOTIFY=NEVER",
        std::string("a\0@b", 4),
        "a@b\\",
        "\"a\\",
        "=?x? y",
        "=?utf-8?Q?a b",
        std::string(1'000'000, 'a') + "@b",
        std::string(1'000'000, '('),
        "\"" + std::string(1'000'000, '\\'),
    };
    for (const auto& row : rows) {
        CAPTURE(row.substr(0, 100));
        const auto addresses = parse_address_list(row);
        REQUIRE_FALSE(addresses);
        CHECK(addresses.error().kind == Error::Kind::parse);
        CHECK(addresses.error().what.size() < 200);
        CHECK(addresses.error().what.find('\n') == std::string::npos);
    }
}

TEST_CASE("the addresses of an envelope line end before its parameters") {
    struct Row {
        std::string value, addresses, rest;
    };
    const Row rows[] = {
        {"<a@b> BODY=8BITMIME RET=HDRS", "a@b", "BODY=8BITMIME RET=HDRS"},
        {"a@b NOTIFY=NEVER", "a@b", "NOTIFY=NEVER"},
        {"\"Ann\" <a@b> SMTPUTF8", "a@b", "SMTPUTF8"},
        {"<a=1@b>, x=2@b ORCPT=rfc822;c@d", "a=1@b x=2@b", "ORCPT=rfc822;c@d"},
        {"x=y <a@b>", "a@b", ""},
        {"a@b", "a@b", ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.value);
        std::size_t length = 0;
        const auto addresses = parse_envelope_addresses(row.value, length);
        REQUIRE_MESSAGE(addresses, addresses.error().what);
        CHECK(joined(*addresses) == row.addresses);
        CHECK(row.value.substr(length) == row.rest);
    }
    std::size_t length = 0;
    const auto null_path = parse_envelope_addresses(" <> BODY=7BIT", length);
    REQUIRE(null_path);
    REQUIRE(null_path->size() == 1);
    CHECK(null_path->front().is_null());
    CHECK_FALSE(parse_envelope_addresses("<a@b> garbage", length));
}
