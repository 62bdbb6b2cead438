#include "message/line_endings.hpp"

#include <doctest/doctest.h>

#include <string>

using mailroot::message::LineEndings;

namespace {

struct Outcome {
    std::string text;
    bool had_bare = false;
    bool operator==(const Outcome&) const = default;
};

Outcome made_canonical(const std::string& text, std::size_t portion) {
    LineEndings line_endings;
    Outcome outcome;
    for (std::size_t at = 0; at < text.size(); at += portion) {
        line_endings.feed(std::string_view(text).substr(at, portion), outcome.text);
    }
    line_endings.finish(outcome.text);
    line_endings.finish(outcome.text);
    outcome.had_bare = line_endings.had_bare();
    return outcome;
}

}  // namespace

TEST_CASE("every line end becomes CRLF, however the text is portioned") {
    struct {
        std::string text;
        Outcome outcome;
    } const rows[] = {
        {"", {"", false}},
        {"\r\n", {"\r\n", false}},
        {"a\r\nb\r\n", {"a\r\nb\r\n", false}},
        {"a", {"a\r\n", false}},
        {"a\r\nb", {"a\r\nb\r\n", false}},
        {"a\nb\r\n", {"a\r\nb\r\n", true}},
        {"a\rb\r\n", {"a\r\nb\r\n", true}},
        {"a\r", {"a\r\n", true}},
        {"a\r\r\n", {"a\r\n\r\n", true}},
        {"\n\r", {"\r\n\r\n", true}},
        {"a\r\n\n", {"a\r\n\r\n", true}},
        {std::string(2500, 'x') + '\n', {std::string(2500, 'x') + "\r\n", true}},
        {std::string("\0\xff\r\n", 4), {std::string("\0\xff\r\n", 4), false}},
    };
    for (const auto& row : rows) {
        for (const std::size_t portion :
             {std::size_t{1}, std::size_t{2}, std::size_t{3}, row.text.size() + 1}) {
            CAPTURE(row.text);
            CAPTURE(portion);
            CHECK(made_canonical(row.text, portion) == row.outcome);
        }
    }
}

TEST_CASE("hostile line ends take time in proportion to their length" * doctest::timeout(30)) {
    for (const std::string unit : {"\r", "\n", "\r\n", "\n\r", "a\r"}) {
        std::string text;
        while (text.size() < 1 << 22) text += unit;
        CHECK(made_canonical(text, text.size()).text.ends_with("\r\n"));
    }
}
