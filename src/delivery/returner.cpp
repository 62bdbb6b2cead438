#include "delivery/returner.hpp"

#include "delivery/local_domains.hpp"
#include "folders/drop.hpp"
#include "folders/queue.hpp"
#include "message/header.hpp"
#include "message/received.hpp"
#include "message/report.hpp"

#include <algorithm>

namespace mailroot::delivery {

namespace {

// A header is returned whole up to here where RET=HDRS asks for no more.
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

bool wants_header_only(const Envelope& envelope) {
    return equal_ignoring_case(envelope.ret, "HDRS");
}

/// Our own verdict on a message that goes in circles.
bool is_mail_loop(const FailedRecipient& one) {
    return one.verdict.host.empty() && one.verdict.reply.enhanced_code == "5.4.6";
}

folders::BadmailReason reason_of(const std::vector<FailedRecipient>& failed) {
    return std::ranges::any_of(failed, is_mail_loop) ? folders::BadmailReason::hop_count_exceeded
                                                     : folders::BadmailReason::ndr_of_dsn;
}

}  // namespace

Result<Returner::Outcome> Returner::give_back(const MessageId& id, const Envelope& envelope,
                                              const std::vector<FailedRecipient>& failed,
                                              folders::MessageReader& message) const {
    std::vector<FailedRecipient> wanted;
    std::ranges::copy_if(failed, std::back_inserter(wanted), [&](const FailedRecipient& one) {
        return wants_failure_report(envelope.recipients[one.index]);
    });
    if (wanted.empty()) return Outcome{};
    // Reports never answer reports (RFC 3464 2): what has no reverse path is one.
    if (envelope.reverse_path.is_null()) return to_badmail(id, envelope, wanted, message);
    auto report_accepted = report(id, envelope, wanted, message);
    if (!report_accepted) return fail(std::move(report_accepted));
    return Outcome{*report_accepted, std::nullopt, "", ""};
}

Result<Returner::Report> Returner::report(const MessageId& id, const Envelope& envelope,
                                          const std::vector<FailedRecipient>& failed,
                                          folders::MessageReader& message) const {
    const auto& settings = context_.settings;
    const auto now = context_.clock.now();
    message::Report report{.id = context_.ids.next(),
                           .original = id,
                           .hostname = settings.hostname,
                           .from = {"postmaster", settings.domains.default_domain},
                           .to = envelope.reverse_path,
                           .envid = envelope.envid,
                           .now = now,
                           .recipients = {}};
    for (const auto& one : failed) {
        report.recipients.push_back({envelope.recipients[one.index], one.verdict, one.expired});
    }
    Envelope to_sender;
    to_sender.body = envelope.body;
    to_sender.recipients.push_back({envelope.reverse_path, "", "", false});

    const bool local = is_local(settings.domains, envelope.reverse_path.domain);
    auto file = local ? folders::Drop(context_.mailroot).begin(report.id, to_sender)
                      : folders::Queue(context_.mailroot).begin(report.id, to_sender);
    if (!file) return fail(std::move(file));
    // Ours as any other message: DESIGN has Received follow the block in all that we write.
    MAILROOT_TRY(file->append(message::received_locally(settings.hostname, report.id, now)));
    const bool header_only = wants_header_only(envelope);
    MAILROOT_TRY(file->append(message::report_head(report, header_only)));
    if (header_only) {
        auto header = header_of(message);
        if (!header) return fail(std::move(header));
        MAILROOT_TRY(file->append(*header));
    } else {
        MAILROOT_TRY(folders::copy_all(message, *file));
    }
    MAILROOT_TRY(file->append(message::report_tail(report)));
    MAILROOT_TRY(file->commit());
    return Report{report.id, !local};
}

Result<Returner::Outcome> Returner::to_badmail(const MessageId& id, const Envelope& envelope,
                                               const std::vector<FailedRecipient>& failed,
                                               folders::MessageReader& message) const {
    const folders::Badmail badmail(context_.mailroot);
    folders::BadmailProperties properties;
    properties.id = id;
    properties.reason = name_of(reason_of(failed));
    properties.sender = envelope.reverse_path.text();
    properties.when = context_.clock.now();
    Envelope of_failed = envelope;
    of_failed.recipients.clear();
    for (const auto& one : failed) {
        const auto& recipient = envelope.recipients[one.index];
        of_failed.recipients.push_back(recipient);
        properties.recipients.push_back(recipient.address.text());
        properties.failures.push_back(
            {recipient.address.text(), one.verdict.host, one.verdict.reply.text()});
    }
    const auto name = badmail.free_name(id, context_.ids.next());
    auto file = badmail.prepare(name, of_failed, message, properties);
    if (!file) return fail(std::move(file));
    return Outcome{std::nullopt, std::move(*file), name, properties.reason};
}

}  // namespace mailroot::delivery
