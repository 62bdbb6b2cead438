#include "smtp/extensions.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace mailroot;

TEST_CASE("what a server offers is read from its lines, in any case") {
    const auto offered = smtp::read_extensions(
        Reply{250,
              "",
              {"mx.example hello", "pipelining", "8bitmime", "DSN", "Size 35882577 ", "SmtpUtf8",
               "Chunking", "BINARYMIME", "X-OTHER"}});
    CHECK(offered.pipelining);
    CHECK(offered.eight_bit_mime);
    CHECK(offered.dsn);
    CHECK(offered.smtp_utf8);
    CHECK(offered.chunking);
    CHECK(offered.binary_mime);
    CHECK(offered.size);
    CHECK(offered.size_limit == 35882577);
}

TEST_CASE("the first line offers nothing, nor does a word that only begins like one") {
    const auto offered =
        smtp::read_extensions(Reply{250, "", {"PIPELINING", "8BITMIMEX", "DSN2", "SIZES", ""}});
    CHECK_FALSE(offered.pipelining);
    CHECK_FALSE(offered.eight_bit_mime);
    CHECK_FALSE(offered.dsn);
    CHECK_FALSE(offered.size);
}

TEST_CASE("a size without a limit that can be read is no limit") {
    for (const std::string line : {"SIZE", "SIZE ", "SIZE 0", "SIZE many", "SIZE 10x", "SIZE -1",
                                   "SIZE 99999999999999999999999"}) {
        CAPTURE(line);
        const auto offered = smtp::read_extensions(Reply{250, "", {"mx.example", line}});
        CHECK(offered.size);
        CHECK(offered.size_limit == 0);
    }
}
