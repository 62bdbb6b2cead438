#include "core/text.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;

TEST_CASE("blanks at the ends go, those inside stay") {
    CHECK(trimmed(" \ta b\r\n") == "a b");
    CHECK(trimmed(" \t ") == "");
    CHECK(trimmed("") == "");
    CHECK(trimmed("a") == "a");
}

TEST_CASE("a text is taken apart at its separators") {
    std::string_view text = "a::b";
    CHECK(take_until(text, ':') == "a");
    CHECK(take_until(text, ':') == "");
    CHECK(text == "b");
    CHECK(take_until(text, ':') == "b");
    CHECK(text == "");
    CHECK(take_until(text, ':') == "");
}

TEST_CASE("a secret is taken out of a text wherever it stands") {
    CHECK(without("abc, bc and abc", "abc") == "..., bc and ...");
    CHECK(without("dots.", ".") == "dots...");
    CHECK(without("nothing", "") == "nothing");
}
