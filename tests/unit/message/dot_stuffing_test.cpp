#include "message/dot_stuffing.hpp"

#include "message/line_endings.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace mailroot::message;

namespace {

struct Decoded {
    std::string message;
    std::size_t taken = 0;
    bool done = false;

    bool operator==(const Decoded&) const = default;
};

/// With LineEndings behind it, as the server has it.
Decoded decode(const std::vector<std::string>& portions) {
    DataDecoder decoder;
    LineEndings line_endings;
    Decoded decoded;
    for (const auto& portion : portions) {
        std::string octets;
        decoded.taken += decoder.feed(portion, octets);
        line_endings.feed(octets, decoded.message);
    }
    decoded.done = decoder.done();
    return decoded;
}

std::string stuff(const std::vector<std::string>& portions) {
    DotStuffer stuffer;
    std::string wire;
    for (const auto& portion : portions) stuffer.feed(portion, wire);
    stuffer.finish(wire);
    return wire;
}

/// Calls `check` with `text` cut into portions in every way there is, or, where it is too long for
/// that, in every way into three.
void for_every_split(const std::string& text,
                     const std::function<void(const std::vector<std::string>&)>& check) {
    if (text.empty() || text.size() > 12) {
        for (std::size_t a = 0; a <= text.size(); ++a) {
            for (std::size_t b = a; b <= text.size(); ++b) {
                check({text.substr(0, a), text.substr(a, b - a), text.substr(b)});
            }
        }
        return;
    }
    for (unsigned cuts = 0; cuts < 1U << (text.size() - 1); ++cuts) {
        std::vector<std::string> portions(1, text.substr(0, 1));
        for (std::size_t i = 1; i < text.size(); ++i) {
            if ((cuts >> (i - 1) & 1) != 0) portions.emplace_back();
            portions.back() += text[i];
        }
        check(portions);
    }
}

/// Every text of at most `longest` octets out of `alphabet`.
std::vector<std::string> all_texts(std::string_view alphabet, std::size_t longest) {
    std::vector<std::string> texts(1);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (texts[i].size() == longest) break;
        for (const char c : alphabet) texts.push_back(texts[i] + c);
    }
    return texts;
}

bool is_canonical(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && !text.substr(i + 1).starts_with('\n')) return false;
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("the octets behind DATA become the message, however they are portioned") {
    struct Row {
        std::string wire, message;
    };
    const Row rows[] = {
        {".\r\n", ""},
        {"\r\n.\r\n", "\r\n"},
        {"a\r\nbc\r\n.\r\n", "a\r\nbc\r\n"},
        {"..\r\n.\r\n", ".\r\n"},
        {"...a\r\n.\r\n", "..a\r\n"},
        {".a\r\n.\r\n", "a\r\n"},
        {"a.\r\n.\r\n", "a.\r\n"},
        {"a\rb\r\n.\r\n", "a\r\nb\r\n"},
        {"a\nb\r\n.\r\n", "a\r\nb\r\n"},
        {"a\r\r\n.\r\n", "a\r\n\r\n"},
        {".\r.\r\n.\r\n", "\r\n.\r\n"},
        {".\r\r\n.\r\n", "\r\n\r\n"},
        {std::string("\0\xff\r\n.\r\n", 7), std::string("\0\xff\r\n", 4)},
        {"From: a\r\n\r\n.\r\nMAIL FROM:<x@y>\r\n", "From: a\r\n\r\n"},
        {std::string(3000, 'x') + "\r\n.\r\n", std::string(3000, 'x') + "\r\n"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.wire);
        const std::size_t length = row.wire.rfind(".\r\n") + 3;
        const Decoded expected{row.message, length, true};
        if (row.wire.size() > 100) {
            CHECK(decode({row.wire}) == expected);
            continue;
        }
        for_every_split(row.wire, [&](const auto& portions) {
            if (decode(portions) != expected) FAIL_CHECK(portions.size());
        });
    }
}

TEST_CASE("nothing but CRLF.CRLF ends the data") {
    struct Row {
        std::string wire, message;
    };
    const Row rows[] = {
        {"a\n.\nb", "a\r\n.\r\nb"},
        {"a\r.\rb", "a\r\n.\r\nb"},
        {"a\n.\r\nb", "a\r\n.\r\nb"},
        {"a\r\n.\nb", "a\r\n\r\nb"},
        {"a\r\n.\rb", "a\r\n\r\nb"},
        {"a\r.\r\nb", "a\r\n.\r\nb"},
        {".\nb", "\r\nb"},
        {std::string("a\r\n\0.\r\nb", 8), std::string("a\r\n\0.\r\nb", 8)},
        {"a\r\n.\r\r\nb", "a\r\n\r\n\r\nb"},
        {"a\r\n. \r\nb", "a\r\n \r\nb"},
        {"a\n\r\n.b", "a\r\n\r\nb"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.wire);
        const Decoded expected{row.message, row.wire.size(), false};
        for_every_split(row.wire, [&](const auto& portions) {
            if (decode(portions) != expected) FAIL_CHECK(portions.size());
        });
    }
}

TEST_CASE("a message stays octet for octet what it was behind stuffing and decoding") {
    for (const auto& text : all_texts("\r\n.a", 7)) {
        if (!is_canonical(text)) continue;
        const std::string wire = stuff({text});
        const bool ended = text.empty() || text.ends_with("\r\n");
        const Decoded expected{text + (ended ? "" : "\r\n"), wire.size(), true};
        if (decode({wire}) != expected) FAIL_CHECK(text);
    }
}

TEST_CASE("what a decoder lets through no host can take for the end of the data") {
    // With the end found here alone, a host that counts bare CR or LF as line ends too finds the
    // same end.
    const std::string smuggled[] = {"\n.\n", "\r.\r", "\n.\r", "\r.\n"};
    for (const auto& text : all_texts("\r\n.a", 7)) {
        const Decoded received = decode({text + "\r\n.\r\n"});
        REQUIRE(received.done);
        if (!is_canonical(received.message)) FAIL_CHECK(text);
        const std::string sent = stuff({received.message});
        const auto before_end = "\r\n" + sent.substr(0, sent.size() - 3);
        for (const auto& form : smuggled) {
            if (before_end.find(form) != std::string::npos) FAIL_CHECK(text);
        }
        if (!is_canonical(sent)) FAIL_CHECK(text);
    }
}

TEST_CASE("a message becomes the octets behind DATA, however it is portioned") {
    struct Row {
        std::string message, wire;
    };
    const Row rows[] = {
        {"", ".\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a", "a\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {"a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n.\r\n"},
        {"a.\r\n", "a.\r\n.\r\n"},
        {"a.b..c", "a.b..c\r\n.\r\n"},
        // Not canonical, yet nothing to smuggle with.
        {"a\n.\nb", "a\n..\nb\r\n.\r\n"},
        {"a\r.\rb", "a\r..\rb\r\n.\r\n"},
        {"a\n", "a\n\r\n.\r\n"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.message);
        for_every_split(row.message,
                        [&](const auto& portions) { CHECK(stuff(portions) == row.wire); });
    }
}

TEST_CASE("hostile data takes time in proportion to its length" * doctest::timeout(30)) {
    for (const std::string unit : {"\r", "\n", ".", "\r\n", "\r\n.a", ".\r", "a"}) {
        CAPTURE(unit);
        std::string wire;
        while (wire.size() < 1 << 22) wire += unit;
        DataDecoder decoder;
        std::string message;
        CHECK(decoder.feed(wire + "\r\n.\r\n", message) >= wire.size());
        CHECK(decoder.done());
        CHECK(stuff({message}).ends_with("\r\n.\r\n"));
    }
}
