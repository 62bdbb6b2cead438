#include "message/report.hpp"

#include "message/received.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace mailroot;
using namespace mailroot::message;

namespace {

const TimePoint k_now{std::chrono::seconds{1'800'000'000}};

Report a_report(std::vector<ReportedRecipient> recipients) {
    return Report{.id = MessageId(0x01d0b89c15ed4609, 0xdeadbeef),
                  .original = MessageId(0x01d0b89c00000000, 8),
                  .hostname = "mail-1.example.com",
                  .from = {"postmaster", "example.com"},
                  .to = {"sender", "example.com"},
                  .reply_to = {},
                  .envid = "",
                  .now = k_now,
                  .returned = {},
                  .recipients = std::move(recipients)};
}

ReportedRecipient refused(std::string local_part, Reply reply, std::string host) {
    return {
        .recipient = {.address = {std::move(local_part), "example.net"}, .notify = "", .orcpt = ""},
        .verdict = {Verdict::Kind::failed, std::move(reply), std::move(host)}};
}

ReportedRecipient with_fate(Fate fate, std::string local_part, Reply reply, std::string host) {
    auto reported = refused(std::move(local_part), std::move(reply), std::move(host));
    reported.fate = fate;
    reported.verdict.kind = kind_of(reported.verdict.reply.code);
    return reported;
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

std::string with_dates(std::string text, const Report& report) {
    const auto replace = [&](std::string_view mark, const std::string& date) {
        for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at))
            text.replace(at, mark.size(), date);
    };
    replace("NOW", date_text(report.now));
    replace("ARRIVAL", date_text(report.original.arrival()));
    return text;
}

}  // namespace

TEST_CASE("a report reads as IIS wrote it") {
    auto report = a_report(
        {refused("ann", reply(550, "5.1.1", "no such user"), "mx1.example.net [192.0.2.1]"),
         refused("bob", reply(451, "4.4.1", "connection timed out"), "")});
    report.envid = "QQ+2B314159";
    report.recipients[0].recipient.orcpt = "rfc822;ann+2Bold@example.org";
    report.recipients[1].fate = Fate::expired;
    const std::string expected =
        "From: postmaster@example.com\r\n"
        "To: sender@example.com\r\n"
        "Date: NOW\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"9B095B5ADSN=_01D0B89C15ED4609DEADBEEFmail?1.example.c\"\r\n"
        "Message-ID: <01d0b89c15ed4609deadbeef@mail-1.example.com>\r\n"
        "Subject: Delivery Status Notification (Failure)\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "\r\n"
        "This is a MIME-formatted message.  \r\n"
        "Portions of this message may be unreadable without a MIME-capable mail program.\r\n"
        "\r\n"
        "--9B095B5ADSN=_01D0B89C15ED4609DEADBEEFmail?1.example.c\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "\r\n"
        "This is an automatically generated Delivery Status Notification.\r\n"
        "\r\n"
        "Delivery to the following recipients failed.\r\n"
        "\r\n"
        "\r\n"
        "       ann@example.net\r\n"
        "           mx1.example.net [192.0.2.1] said: 550 5.1.1 no such user\r\n"
        "\r\n"
        "Unable to deliver message to the following recipients, due to being unable to connect "
        "successfully to the destination mail server.\r\n"
        "\r\n"
        "\r\n"
        "       bob@example.net\r\n"
        "           451 4.4.1 connection timed out\r\n"
        "\r\n"
        "--9B095B5ADSN=_01D0B89C15ED4609DEADBEEFmail?1.example.c\r\n"
        "Content-Type: message/delivery-status\r\n"
        "\r\n"
        "Original-Envelope-Id: QQ+314159\r\n"
        "Reporting-MTA: dns;mail-1.example.com\r\n"
        "Arrival-Date: ARRIVAL\r\n"
        "\r\n"
        "Original-Recipient: rfc822;ann+old@example.org\r\n"
        "Final-Recipient: rfc822;ann@example.net\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns;mx1.example.net\r\n"
        "Diagnostic-Code: smtp;550 5.1.1 no such user\r\n"
        "Last-Attempt-Date: NOW\r\n"
        "\r\n"
        "Final-Recipient: rfc822;bob@example.net\r\n"
        "Action: failed\r\n"
        "Status: 4.4.7\r\n"
        "Last-Attempt-Date: NOW\r\n"
        "\r\n"
        "--9B095B5ADSN=_01D0B89C15ED4609DEADBEEFmail?1.example.c\r\n"
        "Content-Type: message/rfc822\r\n"
        "\r\n";
    CHECK(report_head(report) == with_dates(expected, report));
    CHECK(report_tail(report) ==
          "\r\n--9B095B5ADSN=_01D0B89C15ED4609DEADBEEFmail?1.example.c--\r\n");
}

TEST_CASE("only the header of the message is announced where no more is returned") {
    auto report = a_report({refused("ann", reply(550, "", "no"), "mx")});
    report.returned.whole = false;
    CHECK(report_head(report).ends_with("Content-Type: text/rfc822-headers\r\n\r\n"));
}

TEST_CASE("who has a copy is who answers") {
    auto report = a_report({refused("ann", reply(550, "", "no"), "mx")});
    report.reply_to = {"helpdesk", "example.com"};
    CHECK(has(report_head(report),
              "\r\nTo: sender@example.com\r\nReply-To: helpdesk@example.com\r\nDate: "));
}

TEST_CASE("what a peer said cannot break out of its line") {
    auto report = a_report({refused(
        "ann", Reply{550, "5.1.1", {"a\r\n\r\n--9B\r\nStatus: 2.0.0", "caf\xc3\xa9\x01\xff"}},
        "evil\r\nAction: delivered")});
    report.envid = "a+0D+0AAction: relayed";
    report.recipients[0].recipient.orcpt = "rfc822;a+0D+0A+0D+0Ab";
    const auto text = report_head(report);
    CHECK(has(text, "Original-Envelope-Id: a  Action: relayed\r\n"));
    CHECK(has(text, "Original-Recipient: rfc822;a    b\r\n"));
    CHECK(has(text, "Remote-MTA: dns;evil\r\n"));
    CHECK(has(text, "Diagnostic-Code: smtp;550 5.1.1 a    --9B  Status: 2.0.0 caf?? ?\r\n"));
    CHECK_FALSE(has(text, "\nStatus: 2"));
    CHECK_FALSE(has(text, "\nAction: del"));
}

TEST_CASE("a long reply is folded") {
    const std::string words = "word word word word word word word word word word word word word";
    const auto text = report_head(
        a_report({refused("ann", reply(550, "5.7.1", words + " " + words), "mx.example.net")}));
    CHECK(has(text,
              "Diagnostic-Code: smtp;550 5.7.1 word word word word word word word word word\r\n"
              " word word"));
    CHECK(has(text,
              "\r\n           mx.example.net said: 550 5.7.1 word word word word word word word\r\n"
              "           word word"));
    std::size_t begin = text.find("\r\n\r\n");  // the texts of IIS are longer, as they were
    for (std::size_t end = 0; (end = text.find("\r\n", begin)) != std::string::npos;
         begin = end + 2) {
        if (has(text.substr(begin, end - begin), "word")) CHECK(end - begin <= 76);
    }
}

TEST_CASE("a verdict of our own names no remote host") {
    const auto text =
        report_head(a_report({refused("ann", reply(550, "5.1.2", "no such domain"), "")}));
    CHECK_FALSE(has(text, "Remote-MTA"));
    CHECK(has(text, "Diagnostic-Code: x-mailroot;550 5.1.2 no such domain\r\n"));
    CHECK(has(text, "       ann@example.net\r\n           550 5.1.2 no such domain\r\n"));
}

TEST_CASE("a mail loop has a sentence of its own") {
    auto report = a_report({refused("ann", reply(554, "5.4.6", "too many hops"), "")});
    report.recipients[0].fate = Fate::looped;
    const auto text = report_head(report);
    CHECK(has(text, "because the message was forwarded more than the maximum allowed times. "));
    CHECK_FALSE(has(text, "Delivery to the following"));
    CHECK(has(text, "Action: failed\r\nStatus: 5.4.6\r\n"));
}

TEST_CASE("a delay is a warning only, and says until when it is tried") {
    auto report = a_report({with_fate(Fate::delayed, "ann", reply(0, "", "no route"), "")});
    report.recipients[0].retry_until = k_now + std::chrono::hours{36};
    report.returned.whole = false;
    const auto text = report_head(report);
    CHECK(has(text, "\r\nSubject: Delivery Status Notification (Delay)\r\n"));
    CHECK(has(text,
              "Notification.\r\n\r\nTHIS IS A WARNING MESSAGE ONLY.\r\n\r\nYOU DO NOT NEED TO "
              "RESEND YOUR MESSAGE.\r\n\r\nDelivery to the following recipients has been "
              "delayed.\r\n\r\n\r\n       ann@example.net\r\n"));
    CHECK(has(text, "Action: delayed\r\nStatus: 4.4.7\r\n"));
    CHECK(has(text, "\r\nWill-Retry-Until: " + date_text(k_now + std::chrono::hours{36}) + "\r\n"));
    // What a host said is better known.
    report.recipients[0].verdict = {Verdict::Kind::deferred, reply(451, "4.7.1", "later"), "mx"};
    CHECK(has(report_head(report), "Action: delayed\r\nStatus: 4.7.1\r\nRemote-MTA: dns;mx\r\n"));
}

TEST_CASE("success is told of who has the message and of who took it on") {
    const auto relayed = with_fate(Fate::relayed, "ann", reply(250, "2.6.0", "queued"), "mx");
    const auto delivered = with_fate(Fate::delivered, "bob", reply(250, "2.0.0", "in Drop"), "");
    const auto text = report_head(a_report({delivered, relayed}));
    CHECK(has(text, "\r\nSubject: Delivery Status Notification (Relay)\r\n"));
    CHECK(has(text, "been successfully relayed to the following recipients, but the requested "));
    CHECK(has(text,
              "was successfully delivered to the following recipients.\r\n\r\n\r\n"
              "       bob@example.net\r\n\r\n"));
    CHECK(has(text, "Action: relayed\r\nStatus: 2.6.0\r\nRemote-MTA: dns;mx\r\n"));
    CHECK(has(text, "Action: delivered\r\nStatus: 2.0.0\r\nLast-Attempt-Date"));
    CHECK_FALSE(has(text, "Drop"));
    CHECK(has(report_head(a_report({delivered})), "Notification (Success)\r\n"));
}

TEST_CASE("one report tells of each fate, and its subject of the gravest") {
    const auto failed = refused("ann", reply(550, "5.1.1", "no"), "mx");
    const auto delayed = with_fate(Fate::delayed, "bob", reply(451, "4.2.1", "later"), "mx");
    const auto relayed = with_fate(Fate::relayed, "cid", reply(250, "", "ok"), "mx");
    auto text = report_head(a_report({relayed, delayed, failed}));
    CHECK(has(text, "Notification (Failure)\r\n"));
    CHECK_FALSE(has(text, "WARNING"));
    const auto first = text.find("recipients failed.");
    const auto second = text.find("has been delayed.");
    CHECK(first < second);
    CHECK(second < text.find("successfully relayed"));
    CHECK(has(report_head(a_report({relayed, delayed})), "Notification (Delay)\r\n"));
}

TEST_CASE("8 bits that are returned are announced") {
    auto report = a_report({refused("ann", reply(550, "", "no"), "mx")});
    CHECK_FALSE(has(report_head(report), "Content-Transfer-Encoding"));
    CHECK(body_of(report) == Body::seven_bit);
    report.returned.body = Body::eight_bit_mime;
    const auto text = report_head(report);
    CHECK(body_of(report) == Body::eight_bit_mime);
    CHECK(has(text, "\"\r\nContent-Transfer-Encoding: 8bit\r\nMessage-ID: "));
    CHECK(
        text.ends_with("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
}

TEST_CASE("an address beyond ASCII is told in ASCII to who can read no more") {
    auto report = a_report({refused("jörg", reply(550, "", "no"), "mx")});
    report.to = {"sender", "müller.example"};
    report.recipients[0].recipient.orcpt = "utf-8;käthe@example.org";
    report.returned = {true, Body::eight_bit_mime, true};
    const auto text = report_head(report);
    CHECK_FALSE(needs_utf8(report));
    CHECK(returns_base64(report));
    CHECK(body_of(report) == Body::seven_bit);
    CHECK(std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
    CHECK(has(text, "\r\nTo: sender@xn--mller-kva.example\r\n"));
    CHECK(has(text, "Content-Transfer-Encoding: quoted-printable\r\n\r\nThis is an"));
    CHECK(has(text, "       j=C3=B6rg@example.net\r\n"));
    CHECK(has(text, "Content-Type: message/delivery-status\r\n\r\n"));
    CHECK(has(text,
              "Original-Recipient: utf-8;k\\x{E4}the@example.org\r\n"
              "Final-Recipient: utf-8;j\\x{F6}rg@example.net\r\n"));
    CHECK(text.ends_with(
        "Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
    report.returned.whole = false;
    CHECK(report_head(report).ends_with(
        "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
}

TEST_CASE("a report to an address beyond ASCII is in UTF-8") {
    auto report = a_report({refused("jörg", reply(550, "", "no"), "mx")});
    report.to = {"käthe", "example.com"};
    report.recipients[0].recipient.orcpt = "utf-8;k\\x{E4}the@example.org";
    report.returned = {true, Body::seven_bit, true};
    const auto text = report_head(report);
    CHECK(needs_utf8(report));
    CHECK_FALSE(returns_base64(report));
    CHECK(body_of(report) == Body::eight_bit_mime);
    CHECK(has(text, "\r\nTo: käthe@example.com\r\n"));
    CHECK(has(text,
              "Content-Type: message/global-delivery-status\r\n"
              "Content-Transfer-Encoding: 8bit\r\n\r\n"));
    CHECK(has(text,
              "Original-Recipient: utf-8;käthe@example.org\r\n"
              "Final-Recipient: utf-8;jörg@example.net\r\n"));
    CHECK(text.ends_with("Content-Type: message/global\r\n\r\n"));
}

TEST_CASE("the status of a verdict has the class of its code") {
    using Kind = Verdict::Kind;
    struct Row {
        Kind kind;
        int code;
        std::string_view enhanced, status;
    };
    for (const auto& row : {
             Row{Kind::failed, 550, "5.1.1", "5.1.1"},
             Row{Kind::failed, 550, "", "5.0.0"},
             Row{Kind::failed, 550, "4.1.1", "5.0.0"},
             Row{Kind::deferred, 451, "4.7.25", "4.7.25"},
             Row{Kind::deferred, 421, "", "4.0.0"},
             Row{Kind::delivered, 250, "2.6.0", "2.6.0"},
             Row{Kind::deferred, 0, "", "4.0.0"},
             Row{Kind::failed, 0, "5.1.10", "5.1.10"},
             Row{Kind::failed, 354, "", "5.0.0"},
             Row{Kind::failed, 550, "5.1", "5.0.0"},
             Row{Kind::failed, 550, "5.1.", "5.0.0"},
             Row{Kind::failed, 550, "5.1.1\r\nAction: x", "5.0.0"},
             Row{Kind::failed, 550, "5.1.1000", "5.0.0"},
         }) {
        CAPTURE(row.code);
        CAPTURE(row.enhanced);
        CHECK(status_of({row.kind, reply(row.code, row.enhanced, "x"), ""}) == row.status);
    }
}
