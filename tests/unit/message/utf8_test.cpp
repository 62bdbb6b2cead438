#include "message/utf8.hpp"

#include <doctest/doctest.h>

using mailroot::message::is_utf8;

TEST_CASE("well-formed UTF-8, and what only looks like it") {
    CHECK(is_utf8(""));
    CHECK(is_utf8("plain"));
    CHECK(is_utf8("gr\xc3\xbc\xc3\x9f"));
    CHECK(is_utf8("\xf0\x9f\x93\xa7"));
    CHECK_FALSE(is_utf8("\xff"));
    CHECK_FALSE(is_utf8("gr\xfc"));
    CHECK_FALSE(is_utf8("\xc0\xaf"));          // overlong
    CHECK_FALSE(is_utf8("\xed\xa0\x80"));      // a surrogate
    CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
    CHECK_FALSE(is_utf8("\xe2\x82"));          // cut off
}
