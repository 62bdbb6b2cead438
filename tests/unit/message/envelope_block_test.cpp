#include "message/envelope_block.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;
using namespace mailroot::message;

namespace {

/// `a@b -> c@d e@f*`, a star for settled recipients.
std::string summary(const Envelope& envelope) {
    std::string text = envelope.reverse_path.text() + " ->";
    for (const auto& recipient : envelope.recipients) {
        text += ' ' + recipient.address.text() + (recipient.settled ? "*" : "");
    }
    return text;
}

void check_equal(const Envelope& read, const Envelope& written) {
    CHECK(summary(read) == summary(written));
    CHECK(read.body == written.body);
    CHECK(read.ret == written.ret);
    CHECK(read.envid == written.envid);
    REQUIRE(read.recipients.size() == written.recipients.size());
    for (std::size_t i = 0; i < read.recipients.size(); ++i) {
        CHECK(read.recipients[i].notify == written.recipients[i].notify);
        CHECK(read.recipients[i].orcpt == written.recipients[i].orcpt);
    }
}

Recipient to(std::string local_part, std::string domain) {
    return {{std::move(local_part), std::move(domain)}, "", "", false};
}

}  // namespace

TEST_CASE("an envelope block is read as its writer meant it") {
    struct Row {
        std::string text, envelope, rest;
    };
    const Row rows[] = {
        {"x-sender: a@b\r\nx-receiver: c@d\r\nReceived: x\r\n", "a@b -> c@d", "Received: x\r\n"},
        {"X-SENDER: <a@b>\nX-Receiver:\"Ann, x\" <c@d>\nFrom: x\n", "a@b -> c@d", "From: x\n"},
        {"\xef\xbb\xbfx-sender:a@b\nx-receiver : c@d\n\nbody", "a@b -> c@d", "\nbody"},
        // A user-set X-Receiver stands before .NET's X-Sender.
        {"X-Receiver: rcpt1@example.net\r\nX-Sender: override@example.com\r\n"
         "X-Receiver: ignored@example.net\r\nMIME-Version: 1.0\r\n",
         "override@example.com -> rcpt1@example.net ignored@example.net", "MIME-Version: 1.0\r\n"},
        {"x-sender: <>\nx-receiver: c@d\n", " -> c@d", ""},
        {"x-sender: a@b\nx-sender: other@b\nx-receiver: c@d\n", "a@b -> c@d", ""},
        {"x-sender: a@b\nx-sender:\nx-receiver: c@d\n", "a@b -> c@d", ""},
        // FogBugz repeats the whole list on every line.
        {"x-sender: a@b\nx-receiver: c@d, e@f\nx-receiver: c@D, e@f, C@d\n", "a@b -> c@d e@f C@d",
         ""},
        {"x-receiver: =?utf-8?B?SsO2cmc=?=\r\n =?utf-8?Q?_K?=\r\n\t<c@d>\r\nx-sender: a@b\r\n",
         "a@b -> c@d", ""},
        {"x-receiver: \"c d\"@[192.0.2.1]\n", " -> \"c d\"@[192.0.2.1]", ""},
        {"x-sender: a@b\nx-received: c@d\nx-receiver: e@f\nX-RECEIVEd: g@h\n",
         "a@b -> c@d* e@f g@h*", ""},
        {"x-received: c@d\nx-receiver: c@d\nx-received: c@d\n", " -> c@d", ""},
        {"X-Mailer: x\nx-receiver: c@d\n", " ->", "X-Mailer: x\nx-receiver: c@d\n"},
        {"x-receiver: c@d\nX-Sender-IP: x\nx-receiver: e@f\n", " -> c@d",
         "X-Sender-IP: x\nx-receiver: e@f\n"},
        {"x-receivers: c@d\n", " ->", "x-receivers: c@d\n"},
        {"\xef\xbb\xbf"
         "From: x\n",
         " ->", "From: x\n"},
        {"", " ->", ""},
        {"x-receiver: c@d", " -> c@d", ""},
        {"x-receiver: c@d\r\n ORCPT=rfc822;x@y;\r\n X-ExtendedProps=AA+/\r\n BB+/==\r\nA: b\r\n",
         " -> c@d", "A: b\r\n"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto block = parse_envelope_block(row.text);
        REQUIRE_MESSAGE(block, block.error().what);
        CHECK(summary(block->envelope) == row.envelope);
        CHECK(row.text.substr(block->length) == row.rest);
    }
}

TEST_CASE("an x-sender line is told from a null sender") {
    CHECK(parse_envelope_block("x-sender: <>\n")->has_sender);
    CHECK_FALSE(parse_envelope_block("x-receiver: c@d\n")->has_sender);
}

TEST_CASE("ESMTP parameters are read behind the address, unknown ones skipped") {
    const auto block = parse_envelope_block(
        "x-sender: <a@b> body=8bitmime AUTH=<> RET=HDRS ENVID=x+2By SMTPUTF8\r\n"
        "x-receiver: <c@d>\r\n NOTIFY=SUCCESS,FAILURE;\r\n ORCPT=rfc822;x@y;\r\n "
        "X-Props=NOTIFY=z\r\n"
        "x-receiver: \"N\" <e@f> NOTIFY=NEVER\r\n"
        "x-receiver: <c@d> NOTIFY=NEVER\r\n");
    REQUIRE_MESSAGE(block, block.error().what);
    const Envelope& envelope = block->envelope;
    CHECK(envelope.body == Body::eight_bit_mime);
    CHECK(envelope.ret == "HDRS");
    CHECK(envelope.envid == "x+2By");
    REQUIRE(envelope.recipients.size() == 2);
    CHECK(envelope.recipients[0].notify == "SUCCESS,FAILURE");
    CHECK(envelope.recipients[0].orcpt == "rfc822;x@y");
    CHECK(envelope.recipients[1].notify == "NEVER");
    CHECK(envelope.recipients[1].orcpt.empty());
}

TEST_CASE("an unusable line is named") {
    struct Row {
        std::string text, line;
    };
    const Row rows[] = {
        {"x-sender:\n", "line 1: x-sender: no address"},
        {"x-sender: a@b\nX-Receiver: \t\n", "line 2: x-receiver: no address"},
        {"x-sender: a@b\nx-receiver: c@d\n\tNOTIFY=NEVER\nx-receiver: <>\n",
         "line 4: x-receiver: "},
        {"x-sender: a@b, c@d\n", "line 1: x-sender: more than one address"},
        {"\xef\xbb\xbfx-sender: a b\n", "line 1: x-sender: "},
        {"x-receiver: c@d\nx-received: <c@\n", "line 2: x-received: "},
        {std::string("x-receiver: c@d NOTIFY=a\0b\n", 27), "line 1: x-receiver: a control"},
        {"x-receiver: <c@d> e@f\n", "line 1: x-receiver: "},
        {"x-receiver: c@d\re@f\n", "line 1: x-receiver: "},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto block = parse_envelope_block(row.text);
        REQUIRE_FALSE(block);
        CHECK(block.error().kind == Error::Kind::parse);
        CHECK(block.error().what.starts_with(row.line));
    }
}

TEST_CASE("a mark is the octet that settles its recipient") {
    for (std::string text : {"x-sender: a@b\r\nX-Receiver: c@d\r\n\tNOTIFY=NEVER\r\nx-received: "
                             "e@f\r\nx-receiver : g@h\r\nReceived: x\r\n",
                             "\xef\xbb\xbfx-receiver:c@d\nx-received:e@f\nx-receiver:g@h\n"}) {
        CAPTURE(text);
        const auto before = parse_envelope_block(text);
        REQUIRE(before);
        REQUIRE(before->marks.size() == 3);
        CHECK(text[before->marks[1]] == 'd');
        for (const std::size_t settled : {0U, 2U}) {
            CAPTURE(settled);
            std::string marked = text;
            CHECK(marked[before->marks[settled]] == 'r');
            marked[before->marks[settled]] = 'd';
            const auto after = parse_envelope_block(marked);
            REQUIRE(after);
            CHECK(after->marks == before->marks);
            CHECK(after->length == before->length);
            for (std::size_t i = 0; i < 3; ++i) {
                CHECK(after->envelope.recipients[i].settled == (i == 1 || i == settled));
            }
        }
    }
}

TEST_CASE("recipients that share or repeat a line have no marks") {
    for (const std::string text :
         {"x-receiver: c@d, e@f\n", "x-receiver: c@d\nx-receiver: c@d\n",
          "x-receiver: c@d, c@d\nx-receiver: e@f\n", "x-receiver: c@d, e@f\nx-receiver: c@d\n"}) {
        CAPTURE(text);
        const auto block = parse_envelope_block(text);
        REQUIRE(block);
        CHECK_FALSE(block->envelope.recipients.empty());
        CHECK(block->marks.empty());
    }
}

TEST_CASE("what envelope_block writes parse_envelope_block reads") {
    const Envelope envelopes[] = {
        {},
        {{"a", "b.example"}, Body::seven_bit, "", "", {to("c", "d.example")}},
        {{}, Body::eight_bit_mime, "", "", {to("postmaster", "")}},
        {{"a=b+c", "d"},
         Body::binary_mime,
         "FULL",
         "QQ314159+3D;",
         {{{"c", "d"}, "NEVER", "", false},
          {{"c", "e"}, "", "rfc822;c+2B@e;", true},
          {{"C", "e"}, "SUCCESS,FAILURE,DELAY", "utf-8;jörg@e", false}}},
        {{"\"a >, (x\\\"\"", "[IPv6:2001:db8::1]"},
         Body::eight_bit_mime,
         "HDRS",
         "x",
         {to("jörg", "bücher.example"), to("\" \"", "[192.0.2.1]"), to("=?a?b?c?=", "d"),
          to("a..b.", "host_1"), to("{|}~!#$%&'*/?^`", "x-sender")}},
    };
    for (const auto& envelope : envelopes) {
        const std::string text = envelope_block(envelope);
        CAPTURE(text);
        const auto block = parse_envelope_block(text + "Received: x\r\nx-receiver: no@d\r\n");
        REQUIRE_MESSAGE(block, block.error().what);
        CHECK(block->has_sender);
        CHECK(block->length == text.size());
        CHECK(block->marks.size() == envelope.recipients.size());
        check_equal(block->envelope, envelope);
    }
}

TEST_CASE("the block has one line per recipient and parameters where given") {
    Envelope envelope{{"a", "b"}, Body::eight_bit_mime, "HDRS", "x", {to("c", "d"), to("e", "f")}};
    envelope.recipients[0].notify = "NEVER";
    envelope.recipients[0].orcpt = "rfc822;x@y";
    envelope.recipients[1].settled = true;
    CHECK(envelope_block(envelope) ==
          "x-sender: <a@b> BODY=8BITMIME RET=HDRS ENVID=x\r\n"
          "x-receiver: <c@d> NOTIFY=NEVER ORCPT=rfc822;x@y\r\n"
          "x-received: <e@f>\r\n");
    CHECK(drop_block(envelope) == "x-sender: a@b\r\nx-receiver: c@d\r\n");
    envelope.utf8 = true;
    const auto text = envelope_block(envelope);
    CHECK(text.starts_with("x-sender: <a@b> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x\r\n"));
    const auto block = parse_envelope_block(text);
    REQUIRE(block);
    CHECK(block->envelope.utf8);
    CHECK(block->envelope.ret == "HDRS");
    envelope.reverse_path = {};
    CHECK(drop_block(envelope) == "x-sender: <>\r\nx-receiver: c@d\r\n");
}

TEST_CASE("a Drop block reads back without its parameters") {
    const Envelope envelope{{"\"a b\"", "c"},
                            Body::eight_bit_mime,
                            "FULL",
                            "x",
                            {to("\"d,e\"", "f"), to("jörg", "g"), to("x=1", "h")}};
    const auto block = parse_envelope_block(drop_block(envelope));
    REQUIRE(block);
    CHECK(summary(block->envelope) == summary(envelope));
    CHECK(block->envelope.ret.empty());
}

TEST_CASE("a hostile block takes time in proportion to its length" * doctest::timeout(30)) {
    constexpr std::size_t k_count = 100'000;
    std::string lines = "x-sender: a@b\n", list = "x-receiver: ";
    for (std::size_t i = 0; i < k_count; ++i) {
        const std::string address = 'r' + std::to_string(i) + "@example.net";
        lines += "x-receiver: " + address + '\n';
        list += address + ", ";
    }
    CHECK(parse_envelope_block(lines)->envelope.recipients.size() == k_count);
    CHECK(parse_envelope_block(lines)->marks.size() == k_count);
    CHECK(parse_envelope_block(list + '\n')->envelope.recipients.size() == k_count);
    for (const std::string unit :
         {"a ", "=?", "=?a?b?", "(", "()", "\"\"", "<", ":", ";", "\n ", "a@b "}) {
        std::string text = "x-receiver: ";
        while (text.size() < 1 << 20) text += unit;
        const auto block = parse_envelope_block(text + '\n');
        CAPTURE(unit);
        REQUIRE_FALSE(block);
        CHECK(block.error().what.size() < 200);
    }
}
