#include "delivery/returner.hpp"

#include "delivery/local_domains.hpp"
#include "folders/drop.hpp"
#include "folders/queue.hpp"
#include "message/mime_text.hpp"
#include "message/received.hpp"
#include "message/utf8.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

// So much is returned of a header that does not end.
constexpr std::size_t k_max_returned_header = 1u << 20;

/// The header of a message, with the blank line.
Result<std::string> header_of(folders::MessageReader& message) {
    std::string head;
    for (;;) {
        auto octets = message.next();
        if (!octets) return octets;
        head += *octets;
        const auto blank = head.find("\r\n\r\n");
        if (blank != std::string::npos) return head.substr(0, blank + 4);
        if (octets->empty() || head.size() > k_max_returned_header) return head;
    }
}

bool tells_of_failure(const std::vector<Notice>& notices) {
    return std::ranges::any_of(notices, message::is_failure, &Notice::fate);
}

/// RFC 3463 3.3, 3.4, and what has no enhanced code.
bool is_too_large(const Notice& notice) {
    const auto& reply = notice.verdict.reply;
    return reply.code == 552 || reply.enhanced_code == "5.3.4" || reply.enhanced_code == "5.2.3";
}

/// RFC 3461 6.2: of what did not fail the header is enough. So it is of what would have the report
/// refused, too: for its size, or for octets that few hosts take.
bool returns_whole(const Envelope& envelope, const std::vector<Notice>& notices,
                   std::uint64_t octets, std::uint64_t max_size) {
    const bool fits = (max_size == 0 || octets <= max_size) &&
                      std::ranges::none_of(notices, is_too_large) &&
                      envelope.body != Body::binary_mime;
    return fits && tells_of_failure(notices) && !equal_ignoring_case(envelope.ret, "HDRS");
}

/// Who has a copy of failure reports; null where nobody has.
Address copy_address(const config::Settings& settings) {
    if (settings.ndr.copy_to.empty()) return {};
    return completed(settings.domains, parse_address(settings.ndr.copy_to).value_or(Address{}));
}

/// The envelope of a report. Of the copy nobody is told anything.
Envelope envelope_of(const message::Report& report) {
    Envelope envelope;
    envelope.body = message::body_of(report);
    envelope.utf8 = message::needs_utf8(report);
    envelope.recipients.push_back({report.to, "", "", false});
    if (!report.reply_to.is_null() && report.reply_to != report.to)
        envelope.recipients.push_back({report.reply_to, "NEVER", "", false});
    return envelope;
}

/// A file in the making that is written to in base64.
struct InBase64 {
    folders::NewMessage& file;
    message::Base64Lines lines{};

    Result<void> append(std::string_view octets) { return file.append(lines.feed(octets)); }
    Result<void> finish() { return file.append(lines.finish()); }
};

/// What of a message is returned.
struct Content {
    bool whole;
    std::string header;  ///< where not
    folders::MessageReader& message;

    template <class File>
    Result<void> write_to(File& file) const {
        return whole ? folders::copy_all(message, file) : file.append(header);
    }
};

Result<void> append_returned(const message::Report& report, const Content& content,
                             folders::NewMessage& file) {
    if (!message::returns_base64(report)) return content.write_to(file);
    InBase64 encoded{file};
    MAILROOT_TRY(content.write_to(encoded));
    return encoded.finish();
}

message::Report compose(const Context& context, const MessageId& id, const Envelope& envelope,
                        const std::vector<Notice>& notices, const Content& content) {
    const auto& settings = context.settings;
    const auto header_body =
        message::is_ascii(content.header) ? Body::seven_bit : Body::eight_bit_mime;
    message::Report report{
        .id = context.ids.next(),
        .original = id,
        .hostname = settings.hostname,
        .from = {"postmaster", settings.domains.default_domain},
        .to = envelope.reverse_path,
        .reply_to = tells_of_failure(notices) ? copy_address(settings) : Address{},
        .envid = envelope.envid,
        .now = context.clock.now(),
        .returned = {content.whole, content.whole ? envelope.body : header_body, envelope.utf8},
        .recipients = {}};
    for (const auto& notice : notices) {
        report.recipients.push_back(
            {envelope.recipients[notice.index], notice.verdict, notice.fate, notice.retry_until});
    }
    return report;
}

folders::BadmailReason reason_of(const std::vector<Notice>& failed) {
    const bool looped =
        std::ranges::find(failed, message::Fate::looped, &Notice::fate) != failed.end();
    return looped ? folders::BadmailReason::hop_count_exceeded : folders::BadmailReason::ndr_of_dsn;
}

}  // namespace

Result<Returner::Outcome> Returner::tell(const MessageId& id, const Envelope& envelope,
                                         const std::vector<Notice>& notices,
                                         folders::MessageReader& message, Limit limit) const {
    if (notices.empty()) return Outcome{};
    // Reports never answer reports (RFC 3464 2): what has no reverse path is one.
    if (envelope.reverse_path.is_null())
        return to_badmail(id, envelope, notices, message, reason_of(notices));
    if (limit == Limit::exceeded)
        return to_badmail(id, envelope, notices, message, folders::BadmailReason::too_many_reports);
    auto report_accepted = report(id, envelope, notices, message);
    if (!report_accepted) return fail(std::move(report_accepted));
    return Outcome{*report_accepted, std::nullopt, "", ""};
}

Result<Returner::Report> Returner::report(const MessageId& id, const Envelope& envelope,
                                          const std::vector<Notice>& notices,
                                          folders::MessageReader& message) const {
    const auto& settings = context_.settings;
    Content content{returns_whole(envelope, notices, message.size(), settings.ndr.max_size), "",
                    message};
    if (!content.whole) {
        auto header = header_of(message);
        if (!header) return fail(std::move(header));
        content.header = *std::move(header);
    }
    const auto report = compose(context_, id, envelope, notices, content);
    const auto to_sender = envelope_of(report);
    const bool local = std::ranges::all_of(to_sender.recipients, [&](const Recipient& recipient) {
        return is_local(settings.domains, recipient.address.domain);
    });
    auto file = local ? folders::Drop(context_.mailroot).begin(report.id, to_sender)
                      : folders::Queue(context_.mailroot).begin(report.id, to_sender);
    if (!file) return fail(std::move(file));
    // Ours as any other message: DESIGN has Received follow the block in all that we write.
    MAILROOT_TRY(file->append(message::received_locally(settings.hostname, report.id, report.now)));
    MAILROOT_TRY(file->append(message::report_head(report)));
    MAILROOT_TRY(append_returned(report, content, *file));
    MAILROOT_TRY(file->append(message::report_tail(report)));
    MAILROOT_TRY(file->commit());
    return Report{report.id, !local};
}

Result<Returner::Outcome> Returner::to_badmail(const MessageId& id, const Envelope& envelope,
                                               const std::vector<Notice>& notices,
                                               folders::MessageReader& message,
                                               folders::BadmailReason reason) const {
    if (!tells_of_failure(notices)) return Outcome{};
    const folders::Badmail badmail(context_.mailroot);
    folders::BadmailProperties properties;
    properties.id = id;
    properties.reason = name_of(reason);
    properties.sender = envelope.reverse_path.text();
    properties.when = context_.clock.now();
    Envelope of_failed = envelope;
    of_failed.recipients.clear();
    for (const auto& notice : notices) {
        if (!message::is_failure(notice.fate)) continue;
        const auto& recipient = envelope.recipients[notice.index];
        of_failed.recipients.push_back(recipient);
        properties.recipients.push_back(recipient.address.text());
        properties.failures.push_back(
            {recipient.address.text(), notice.verdict.host, notice.verdict.reply.text()});
    }
    const auto name = badmail.free_name(id, context_.ids.next());
    auto file = badmail.prepare(name, of_failed, message, properties);
    if (!file) return fail(std::move(file));
    return Outcome{std::nullopt, std::move(*file), name, properties.reason};
}

}  // namespace mailroot::delivery
