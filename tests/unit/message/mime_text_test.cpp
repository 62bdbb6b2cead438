#include "message/mime_text.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot::message;

namespace {

std::string repeated(std::string_view text, int times) {
    std::string all;
    while (times-- > 0) all += text;
    return all;
}

std::size_t longest_line(std::string_view text) {
    std::size_t longest = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        longest = std::max(longest, end);
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return longest;
}

}  // namespace

TEST_CASE("quoted-printable keeps what RFC 2045 lets through and no blank at a line's end") {
    struct Row {
        std::string_view text, encoded;
    };
    for (const auto& row : {
             Row{"plain text\r\n", "plain text\r\n"},
             Row{"a=b", "a=3Db"},
             Row{"end \r\n\tin\t\r\n", "end=20\r\n\tin=09\r\n"},
             Row{"Gr\xc3\xbc\xc3\x9f"
                 "e\r\n\r\n",
                 "Gr=C3=BC=C3=9Fe\r\n\r\n"},
             Row{std::string_view("a\0\x7f\r", 4), "a=00=7F=0D"},
             Row{"", ""},
         }) {
        CAPTURE(row.text);
        CHECK(quoted_printable(row.text) == row.encoded);
    }
}

TEST_CASE("lines of quoted-printable hold at most 76 octets") {
    CHECK(quoted_printable(repeated("x", 76)) == repeated("x", 76));
    CHECK(quoted_printable(repeated("x", 77)) == repeated("x", 75) + "=\r\nxx");
    CHECK(quoted_printable(repeated("x", 74) + "\xff\xff") == repeated("x", 74) + "=\r\n=FF=FF");
    CHECK(longest_line(quoted_printable(repeated("\xc3\xbc ", 500))) <= 76);
}

TEST_CASE("encoded words take the shorter encoding") {
    CHECK(encoded_words("caf\xc3\xa9 noir, s'il", 9) == "=?utf-8?Q?caf=C3=A9_noir=2C_s=27il?=");
    CHECK(encoded_words("\xd0\x9f\xd1\x80\xd0\xb8", 9) == "=?utf-8?B?0J/RgNC4?=");
    CHECK(encoded_words("\xd0\x9f\xd1\x80", 9) == "=?utf-8?B?0J/RgA==?=");
}

TEST_CASE("encoded words are split between characters and folded") {
    for (const auto* character : {"\xf0\x9f\x98\x80", "\xe2\x82\xac", "\xc3\xa9", "e\xc3\xa9 aa"}) {
        CAPTURE(character);
        const auto words = encoded_words(repeated(character, 60), 9);
        CHECK(longest_line("Subject: " + words) <= 76);
        // A split inside a character would leave a lead octet at the end of a Q word.
        for (const auto* lead : {"=E2?=", "=C3?=", "=82?="}) {
            CHECK(words.find(lead) == std::string::npos);
        }
        CHECK(words.find("?=\r\n =?utf-8?") != std::string::npos);
    }
    // 45 octets fill a word of B; four-octet characters may use 44 of them.
    CHECK(encoded_words(repeated("\xf0\x9f\x98\x80", 12), 1) ==
          "=?utf-8?B?" + repeated("8J+YgPCfmIDwn5iA", 3) +
              "8J+YgPCfmIA=?=\r\n =?utf-8?B?8J+YgA==?=");
}

TEST_CASE("encoded words begin on a line of their own where the first has no room") {
    CHECK(encoded_words("\xc3\xa9", 60) == "\r\n =?utf-8?B?w6k=?=");
}

TEST_CASE("a line is wrapped before spaces and loses none of its octets") {
    CHECK(wrapped("aa bb", 0, "\r\n ") == "aa bb");
    CHECK(wrapped(repeated("x", 70) + " bbbbb", 0, "\r\n ") == repeated("x", 70) + " bbbbb");
    CHECK(wrapped(repeated("x", 70) + " bbbbbb", 0, "\r\n ") == repeated("x", 70) + "\r\n bbbbbb");
    CHECK(wrapped(repeated("x", 70) + " bb", 5, "\r\n ") == repeated("x", 70) + "\r\n bb");
    CHECK(wrapped(repeated("x", 90), 9, "\r\n ") == repeated("x", 90));
    CHECK(wrapped(repeated("x", 80) + "   " + repeated("y", 80) + "  ", 0, "\r\n ") ==
          repeated("x", 80) + "\r\n   " + repeated("y", 80) + "  ");
}

TEST_CASE("base64 comes in lines, however its octets come") {
    const std::string octets = repeated("0123456789", 12);
    const std::string expected =
        "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\r\n"
        "Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\r\n"
        "NDU2Nzg5\r\n";
    for (const std::size_t portion : {1, 7, 57, 120}) {
        CAPTURE(portion);
        Base64Lines lines;
        std::string text;
        for (std::size_t i = 0; i < octets.size(); i += portion)
            text += lines.feed(std::string_view(octets).substr(i, portion));
        CHECK(text + lines.finish() == expected);
    }
    CHECK(Base64Lines().finish().empty());
}
