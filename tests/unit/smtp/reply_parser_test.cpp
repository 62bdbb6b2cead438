#include "smtp/reply_parser.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace mailroot;

namespace {

/// The replies in `octets`, fed in portions of `step`; "broken: why" as the last where it is none.
std::vector<std::string> read(const std::string& octets, std::size_t step) {
    smtp::ReplyParser parser;
    std::vector<std::string> replies;
    for (std::size_t at = 0; at < octets.size(); at += step) {
        parser.feed(octets.substr(at, step));
        for (;;) {
            const auto next = parser.next();
            if (!next) {
                CHECK(next.error().kind == Error::Kind::protocol);
                replies.push_back("broken");
                return replies;
            }
            if (!*next) break;
            std::string text = std::to_string((*next)->code) + "/" + (*next)->enhanced_code;
            for (const auto& line : (*next)->lines) text += "/" + line;
            replies.push_back(text);
        }
    }
    if (parser.holds_octets()) replies.push_back("more");
    return replies;
}

std::string lines(int count) {
    std::string octets;
    for (int i = 1; i < count; ++i) octets += "250-x\r\n";
    return octets + "250 x\r\n";
}

}  // namespace

TEST_CASE("replies come out whole, however the octets come in") {
    struct Row {
        std::string octets;
        std::vector<std::string> replies;
    };
    for (const auto& row : std::vector<Row>{
             {"250 2.1.0 fine\r\n", {"250/2.1.0/fine"}},
             {"250 fine\r\n", {"250//fine"}},
             {"250\r\n", {"250//"}},
             {"250 \r\n", {"250//"}},
             {"250 fine\n", {"250//fine"}},
             {"250-2.0.0 a\r\n250-2.0.0 b\r\n250 2.0.0 c\r\n", {"250/2.0.0/a/b/c"}},
             {"250-2.0.0 a\r\n250 b\r\n", {"250/2.0.0/a/b"}},
             {"250-\r\n250 b\r\n", {"250///b"}},
             {"250 a\r\n354 b\r\n", {"250//a", "354//b"}},
             {"550 5.1.1\r\n", {"550/5.1.1/"}},
             {"550 5.1.1 \r\n", {"550/5.1.1/"}},
             {"451 4.123.456 a\r\n", {"451/4.123.456/a"}},
             {"550 4.1.1 a\r\n", {"550//4.1.1 a"}},
             {"550 5.1 a\r\n", {"550//5.1 a"}},
             {"550 5.1.1234 a\r\n", {"550//5.1.1234 a"}},
             {"550 5.1.1: a\r\n", {"550//5.1.1: a"}},
             {"354 3.0.0 a\r\n", {"354//3.0.0 a"}},
             {"250 a\tb\x1b[2J\x7f\r\n", {"250//a?b?[2J?"}},
             {"250 a\r", {"more"}},
             {"250-a\r\n", {"more"}},
             {"250-a\r\n251 b\r\n", {"broken"}},
             {"\r\n", {"broken"}},
             {"25 a\r\n", {"broken"}},
             {"2500 a\r\n", {"broken"}},
             {"250_a\r\n", {"broken"}},
             {"150 a\r\n", {"broken"}},
             {"650 a\r\n", {"broken"}},
             {" 250 a\r\n", {"broken"}},
             {"250 a\r\nnonsense\r\n", {"250//a", "broken"}},
         }) {
        for (const auto step :
             {std::size_t{1}, std::size_t{2}, std::size_t{7}, row.octets.size()}) {
            CAPTURE(row.octets);
            CAPTURE(step);
            CHECK(read(row.octets, step) == row.replies);
        }
    }
}

TEST_CASE("a reply has at most a hundred lines of at most 2048 octets") {
    CHECK(read(lines(100), 1000).size() == 1);
    CHECK(read(lines(100), 1000) != std::vector<std::string>{"broken"});
    CHECK(read(lines(101), 1000) == std::vector<std::string>{"broken"});
    const std::string longest = "250 " + std::string(2044, 'x');
    CHECK(read(longest + "\r\n", 1) == std::vector<std::string>{"250//" + std::string(2044, 'x')});
    CHECK(read(longest + "x\r\n", 5000) == std::vector<std::string>{"broken"});
    CHECK(read(longest + "yyy", 1) == std::vector<std::string>{"broken"});
}
