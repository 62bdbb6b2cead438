#include "message/report.hpp"

#include "message/mime_text.hpp"
#include "message/received.hpp"
#include "message/utf8.hpp"
#include "message/xtext.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace mailroot::message {

namespace {

constexpr std::string_view k_crlf = "\r\n";

/// Why recipients stand in the text for people, each under its own sentence of IIS.
enum class Reason { refused, expired, loop };

struct Sentence {
    Reason reason;
    std::string_view text;
};

constexpr std::array k_sentences{
    Sentence{Reason::refused, "Delivery to the following recipients failed."},
    Sentence{Reason::expired,
             "Unable to deliver message to the following recipients, due to being unable to "
             "connect successfully to the destination mail server."},
    Sentence{Reason::loop,
             "Unable to deliver message to the following recipients, because the message was "
             "forwarded more than the maximum allowed times. This could indicate a mail loop."},
};

Reason reason_of(const ReportedRecipient& reported) {
    if (reported.expired) return Reason::expired;
    // RFC 3463 3.5: X.4.6 is a routing loop; only our own hop count is meant here, not a peer's.
    const bool ours = reported.verdict.host.empty();
    return ours && reported.verdict.reply.enhanced_code == "5.4.6" ? Reason::loop : Reason::refused;
}

/// What a stranger wrote, fit for a line of a report: no controls, ASCII alone.
std::string harmless(std::string_view text) {
    std::string line = on_one_line(text);
    std::ranges::replace_if(
        line, [](char c) { return static_cast<unsigned char>(c) > 0x7e; }, '?');
    return line;
}

/// IIS's form: a constant, the message's 24 digits, the host with `-` as `?`. The `=_` cannot
/// occur in quoted-printable nor base64, the digits are this report's alone.
std::string boundary(const Report& report) {
    std::string text = "9B095B5ADSN=_";
    for (const char c : report.id.text()) text += c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
    for (const char c : report.hostname.substr(0, 16)) {
        const bool plain =
            c == '.' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        text += plain ? c : '?';
    }
    return text;
}

std::string field(std::string_view name, std::string_view value) {
    std::string text = std::string(name) + ": ";
    text += wrapped(value, text.size(), "\r\n ");
    return text.append(k_crlf);
}

std::string report_header(const Report& report) {
    return field("From", report.from.text()) + field("To", report.to.text()) +
           date_field(report.now) + field("MIME-Version", "1.0") +
           "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" +
           boundary(report) + "\"\r\n" + message_id_field(report.id, report.hostname) +
           field("Subject", "Delivery Status Notification (Failure)") +
           // RFC 3834 5: answering machines keep quiet on this.
           field("Auto-Submitted", "auto-replied");
}

/// The recipient as IIS shows it, and below it what we know about the cause.
std::string recipient_text(const ReportedRecipient& reported) {
    std::string text = "       " + reported.recipient.address.text() + "\r\n";
    const std::string said = harmless(reported.verdict.reply.text());
    if (said.empty()) return text;
    std::string_view verb = reported.verdict.host.empty() ? "" : " said: ";
    const std::string line = harmless(reported.verdict.host).append(verb).append(said);
    constexpr std::string_view k_indent = "\r\n           ";
    return text.append(k_indent.substr(2)).append(wrapped(line, 11, k_indent)).append(k_crlf);
}

std::string text_for_people(const Report& report) {
    std::string text = "This is an automatically generated Delivery Status Notification.\r\n";
    for (const auto& sentence : k_sentences) {
        std::string recipients;
        for (const auto& reported : report.recipients) {
            if (reason_of(reported) == sentence.reason) recipients += recipient_text(reported);
        }
        if (recipients.empty()) continue;
        text.append(k_crlf).append(sentence.text).append("\r\n\r\n\r\n").append(recipients);
    }
    return text;
}

/// `mx1.example.org` of `mx1.example.org [192.0.2.1]`.
std::string host_name(const Verdict& verdict) {
    const std::string host = harmless(verdict.host);
    return host.substr(0, host.find(' '));
}

std::string diagnostic(const ReportedRecipient& reported) {
    const std::string said = harmless(reported.verdict.reply.text());
    if (reported.expired || said.empty()) return {};
    if (reported.verdict.host.empty()) {
        // RFC 3464 2.3.6: `smtp` is for what came over the wire.
        return field("Diagnostic-Code", "x-mailroot;" + said);
    }
    return field("Remote-MTA", "dns;" + host_name(reported.verdict)) +
           field("Diagnostic-Code", "smtp;" + said);
}

/// `rfc822;a@b` of an ORCPT parameter, empty where it is none (RFC 3461 4.2).
std::string original_recipient(std::string_view orcpt) {
    const std::size_t semicolon = orcpt.find(';');
    if (semicolon == std::string_view::npos) return {};
    const std::string type = harmless(orcpt.substr(0, semicolon));
    return field("Original-Recipient",
                 type + ';' + on_one_line(xtext_decoded(orcpt.substr(semicolon + 1))));
}

std::string recipient_group(const ReportedRecipient& reported, TimePoint now) {
    return "\r\n" + original_recipient(reported.recipient.orcpt) +
           field("Final-Recipient", "rfc822;" + reported.recipient.address.text()) +
           field("Action", "failed") +
           field("Status", reported.expired ? "4.4.7" : status_of(reported.verdict)) +
           diagnostic(reported) + field("Last-Attempt-Date", date_text(now));
}

std::string delivery_status(const Report& report) {
    std::string text;
    if (!report.envid.empty())
        text += field("Original-Envelope-Id", on_one_line(xtext_decoded(report.envid)));
    text += field("Reporting-MTA", "dns;" + report.hostname);
    text += field("Arrival-Date", date_text(report.original.arrival()));
    for (const auto& reported : report.recipients) text += recipient_group(reported, report.now);
    return text;
}

/// The class of the code decides, where there is one (RFC 3464 2.3.4).
char status_class(const Verdict& verdict) {
    if (const int first = verdict.reply.code / 100; first == 2 || first == 4 || first == 5)
        return static_cast<char>('0' + first);
    switch (verdict.kind) {
        case Verdict::Kind::delivered:
            return '2';
        case Verdict::Kind::deferred:
            return '4';
        case Verdict::Kind::failed:
            break;
    }
    return '5';
}

/// `class "." 1*3digit "." 1*3digit` (RFC 3463 2).
bool is_enhanced_code(std::string_view text) {
    if (text.size() < 5 || text[1] != '.') return false;
    const std::size_t dot = text.find('.', 2);
    if (dot == std::string_view::npos) return false;
    return std::ranges::all_of(std::array{text.substr(2, dot - 2), text.substr(dot + 1)},
                               [](std::string_view part) {
                                   return !part.empty() && part.size() <= 3 &&
                                          part.find_first_not_of("0123456789") == part.npos;
                               });
}

std::string part(const Report& report, std::string_view type, const std::string& content) {
    std::string text = "--" + boundary(report) + "\r\n" + "Content-Type: ";
    text.append(type).append(k_crlf);
    if (!is_ascii(content)) text += "Content-Transfer-Encoding: 8bit\r\n";
    return text.append(k_crlf).append(content);
}

}  // namespace

std::string report_head(const Report& report, bool headers_only) {
    std::string text = report_header(report);
    text +=
        "\r\nThis is a MIME-formatted message.  \r\n"
        "Portions of this message may be unreadable without a MIME-capable mail program.\r\n\r\n";
    text += part(report, "text/plain; charset=utf-8", text_for_people(report)) + "\r\n";
    text += part(report, "message/delivery-status", delivery_status(report)) + "\r\n";
    return text + part(report, headers_only ? "text/rfc822-headers" : "message/rfc822", "");
}

std::string report_tail(const Report& report) {
    return "\r\n--" + boundary(report) + "--\r\n";
}

std::string status_of(const Verdict& verdict) {
    const char wanted = status_class(verdict);
    const std::string& given = verdict.reply.enhanced_code;
    if (is_enhanced_code(given) && given.front() == wanted) return given;
    return std::string(1, wanted) + ".0.0";
}

}  // namespace mailroot::message
