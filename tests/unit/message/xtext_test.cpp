#include "message/xtext.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot::message;

TEST_CASE("xtext is decoded, and what is none stays") {
    CHECK(xtext_decoded("a+2Bb+3D@c") == "a+b=@c");
    CHECK(xtext_decoded("a+2b+@c+") == "a+2b+@c+");
}

TEST_CASE("an address beyond ASCII has a form in ASCII, and is read in either") {
    struct Row {
        std::string address, in_ascii;
    };
    for (const auto& row : {
             Row{"a@b.example", "a@b.example"},
             Row{"jörg@müller.example", "j\\x{F6}rg@m\\x{FC}ller.example"},
             Row{"用户@例.example", "\\x{7528}\\x{6237}@\\x{4F8B}.example"},
             Row{"\xf0\x9f\x93\xac@b", "\\x{1F4EC}@b"},
             Row{"\"a b+c=\\d\"@b", "\"a\\x{20}b\\x{2B}c\\x{3D}\\x{5C}d\"@b"},
         }) {
        CAPTURE(row.address);
        CHECK(utf8_xtext(row.address) == row.in_ascii);
        CHECK(utf8_xtext_decoded(row.in_ascii) == row.address);
    }
    CHECK(utf8_xtext_decoded("jörg@b") == "jörg@b");
    CHECK(utf8_xtext_decoded("j+C3+B6rg@b") == "jörg@b");
}

TEST_CASE("what is no address beyond ASCII is not read") {
    for (const auto* text : {"\\", "\\x", "\\x{", "\\x{}", "\\x{F6", "\\x{G}", "\\x{D800}",
                             "\\x{110000}", "\\x{FFFFFFFFFF}", "a\\b", "\xff", "j+C3rg"}) {
        CAPTURE(text);
        CHECK_FALSE(utf8_xtext_decoded(text));
    }
}
