#include "message/compose.hpp"

#include "message/received.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::message;

namespace {

const TimePoint k_now{std::chrono::seconds{1'800'000'000}};

std::string composed(const Draft& draft) {
    return compose(draft, MessageId(0x01d0b89c15ed4609, 0xdeadbeef), "mail.example.com", k_now);
}

Draft a_draft() {
    Draft draft;
    draft.from = "Bob <bob@example.com>";
    draft.to = {"ann@example.net"};
    draft.subject = "hello";
    draft.text = "hi\n";
    return draft;
}

/// The field's lines as they stand in the header, empty where there is none.
std::string field(const std::string& message, const std::string& name) {
    const std::string header = "\r\n" + message.substr(0, message.find("\r\n\r\n") + 2);
    const std::size_t begin = header.find("\r\n" + name + ":");
    if (begin == std::string::npos) return {};
    std::size_t end = header.find("\r\n", begin + 2);
    while (header[end + 2] == ' ') end = header.find("\r\n", end + 2);
    return header.substr(begin + 2, end - begin - 2);
}

std::string body(const std::string& message) {
    return message.substr(message.find("\r\n\r\n") + 4);
}

}  // namespace

TEST_CASE("a plain draft becomes a plain message") {
    CHECK(composed(a_draft()) == date_field(k_now) +
                                     "From: Bob <bob@example.com>\r\n"
                                     "To: ann@example.net\r\n"
                                     "Subject: hello\r\n"
                                     "Message-ID: <01d0b89c15ed4609deadbeef@mail.example.com>\r\n"
                                     "MIME-Version: 1.0\r\n"
                                     "Content-Type: text/plain; charset=utf-8\r\n"
                                     "Content-Transfer-Encoding: 7bit\r\n"
                                     "\r\n"
                                     "hi\r\n");
}

TEST_CASE("display names beyond ASCII are encoded, addresses are not") {
    struct Row {
        std::string typed, field;
    };
    for (const auto& row : {
             Row{"J\xc3\xbcrgen <j@x.org>", "To: =?utf-8?Q?J=C3=BCrgen?= <j@x.org>"},
             Row{"\"M\xc3\xbcller, \\\"J\\\"\" <j@x.org>",
                 "To: =?utf-8?B?TcO8bGxlciwgIkoi?= <j@x.org>"},
             Row{"\"Miller, J\" <j@x.org>", "To: \"Miller, J\" <j@x.org>"},
             Row{"j\xc3\xbc@x.org", "To: j\xc3\xbc@x.org"},
             Row{"a@x.org,b@x.org", "To: a@x.org, b@x.org"},
             Row{"\"<, \xc3\xbc\" <j@x.org>, b@x.org",
                 "To: =?utf-8?B?PCwgw7w=?= <j@x.org>, b@x.org"},
             Row{"(a, b) c@x.org", "To: (a, b) c@x.org"},
         }) {
        CAPTURE(row.typed);
        auto draft = a_draft();
        draft.to = {row.typed};
        CHECK(field(composed(draft), "To") == row.field);
    }
}

TEST_CASE("many addresses are folded between them") {
    auto draft = a_draft();
    draft.cc.assign(9, "somebody@example.org");
    CHECK(field(composed(draft), "Cc") ==
          "Cc: somebody@example.org, somebody@example.org, somebody@example.org,\r\n"
          " somebody@example.org, somebody@example.org, somebody@example.org,\r\n"
          " somebody@example.org, somebody@example.org, somebody@example.org");
}

TEST_CASE("no field of a draft can begin another") {
    Draft draft;
    draft.from = "a@x.org\r\nBcc: b@x.org";
    draft.to = {"c@x.org\nEvil: 1"};
    draft.cc = {"d@x.org\rEvil: 2"};
    draft.subject = "s\r\n\r\nEvil: 3";
    draft.headers = {
        {"X-A\r\nEvil", "v\r\nEvil: 4"}, {"X: B", "w\n\nEvil: 5"}, {"\r\n", "Evil: 6"}};
    const auto message = composed(draft);
    CHECK(field(message, "Evil").empty());
    CHECK(field(message, "Bcc").empty());
    CHECK(field(message, "Subject") == "Subject: s    Evil: 3");
    CHECK(field(message, "X-AEvil") == "X-AEvil: v  Evil: 4");
    CHECK(field(message, "XB") == "XB: w  Evil: 5");
    CHECK(body(message).empty());
}

TEST_CASE("a header that the user gives replaces ours and comes last") {
    for (const auto* name : {"Date", "From", "To", "Subject", "message-id", "Content-Type"}) {
        CAPTURE(name);
        auto draft = a_draft();
        draft.headers = {{name, "theirs"}};
        const auto message = composed(draft);
        const auto expected = std::string("\r\n") + name + ": theirs\r\n\r\n";
        const std::size_t at = message.find(expected);
        REQUIRE(at != std::string::npos);
        CHECK(field(lower_case(message.substr(0, at) + "\r\n\r\n"), lower_case(name)).empty());
    }
}

TEST_CASE("Bcc is never written, nor Cc without anybody in it") {
    auto draft = a_draft();
    draft.headers = {{"bcc", "hidden@example.org"}, {"Resent-Bcc", "hidden@example.org"}};
    const auto message = composed(draft);
    CHECK(message.find("hidden") == std::string::npos);
    CHECK(message.find("Cc") == std::string::npos);
}

TEST_CASE("a subject beyond ASCII or beyond folding is encoded") {
    auto draft = a_draft();
    draft.subject = "\xc3\x84rger";
    CHECK(field(composed(draft), "Subject") == "Subject: =?utf-8?B?w4RyZ2Vy?=");
    draft.subject = std::string(2000, 'a');
    CHECK(field(composed(draft), "Subject").starts_with("Subject: =?utf-8?Q?aaa"));
    draft.subject = "a subject of many words that is too long for one line of a header by far";
    CHECK(field(composed(draft), "Subject") ==
          "Subject: a subject of many words that is too long for one line of a header\r\n by far");
}

TEST_CASE("the text travels as 7bit where it can, else as quoted-printable") {
    struct Row {
        std::string text, encoding, body;
    };
    for (const auto& row : {
             Row{"a\nb\rc\r\n\nd", "7bit", "a\r\nb\r\nc\r\n\r\nd\r\n"},
             Row{"", "7bit", ""},
             Row{".\n", "7bit", ".\r\n"},
             Row{"caf\xc3\xa9", "quoted-printable", "caf=C3=A9\r\n"},
             Row{std::string("\0\n", 2), "quoted-printable", "=00\r\n"},
             Row{std::string(998, 'x'), "7bit", std::string(998, 'x') + "\r\n"},
         }) {
        CAPTURE(row.text);
        auto draft = a_draft();
        draft.text = row.text;
        const auto message = composed(draft);
        CHECK(field(message, "Content-Transfer-Encoding") ==
              "Content-Transfer-Encoding: " + row.encoding);
        CHECK(body(message) == row.body);
    }
    auto draft = a_draft();
    draft.text = std::string(999, 'x');
    CHECK(body(composed(draft)).starts_with(std::string(75, 'x') + "=\r\nx"));
}

TEST_CASE("a text that the user has encoded is left as it is") {
    auto draft = a_draft();
    draft.headers = {{"Content-Transfer-Encoding", "8bit"}};
    draft.text = "caf\xc3\xa9\n";
    CHECK(body(composed(draft)) == "caf\xc3\xa9\r\n");
}
