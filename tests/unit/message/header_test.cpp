#include "message/header.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot::message;

TEST_CASE("a header is split into fields, with CRLF and with LF") {
    const std::string crlf = "From: a@b\r\nsubject : one\r\n\t two\r\nTo:c@d\r\n\r\nBody: no\r\n";
    std::string lf = crlf;
    std::erase(lf, '\r');
    for (const auto& text : {crlf, lf}) {
        CAPTURE(text);
        const Header header = parse_header(text);
        REQUIRE(header.fields.size() == 3);
        CHECK(header.fields[0].name == "From");
        CHECK(header.fields[0].value == " a@b");
        CHECK(header.fields[1].name == "subject");
        CHECK(unfolded(header.fields[1].value) == "one\t two");
        CHECK(header.fields[1].line == 2);
        CHECK(header.fields[2].value == "c@d");
        CHECK(header.fields[2].line == 4);
        CHECK(text.substr(header.body).starts_with("Body: no"));
        CHECK(header.fields[1].whole.starts_with("subject"));
        CHECK(header.fields[1].whole.ends_with("two" + text.substr(9, text == lf ? 1 : 2)));
    }
}

TEST_CASE("where a header ends") {
    struct Row {
        std::string text;
        std::size_t fields, body;
    };
    const Row rows[] = {
        {"", 0, 0},
        {"\n", 0, 1},
        {"\r\nA: b\r\n", 0, 2},
        {"A: b", 1, 4},
        {"A: b\n", 1, 5},
        {"A: b\n\nx", 1, 6},
        {"A: b\nno field\nB: c\n\n", 1, 5},
        {"A: b\n \n c\n\nx", 1, 11},
        {" folded at once\nA: b\n", 0, 0},
        {": no name\n", 0, 0},
        {"From a@b Mon Jan 1\nA: b\n", 0, 0},
        {"A\n: b\n", 0, 0},
        {"\xc3\xa4: b\n", 0, 0},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const Header header = parse_header(row.text);
        CHECK(header.fields.size() == row.fields);
        CHECK(header.body == row.body);
    }
}

TEST_CASE("a field is found by its name without regard to case, the first one") {
    const Header header = parse_header("To: a\nBCC: b\nto: c\n");
    CHECK(find_field(header, "TO")->value == " a");
    CHECK(find_field(header, "Bcc")->line == 2);
    CHECK_FALSE(find_field(header, "Cc"));
}

TEST_CASE("an unfolded value holds no line end") {
    struct Row {
        std::string value, line;
    };
    const Row rows[] = {
        {"", ""},           {" \t\r\n ", ""},          {" a\r\n b ", "a b"},
        {"a\n\tb", "a\tb"}, {"a\rBcc: b", "a Bcc: b"}, {"a\r\r\n b", "a  b"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.value);
        CHECK(unfolded(row.value) == row.line);
    }
}
