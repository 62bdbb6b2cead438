#include "delivery/intake.hpp"

#include "delivery/client_lookup.hpp"
#include "delivery/incoming_file.hpp"
#include "delivery/local_domains.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace mailroot::delivery {

smtp::Task<Peer> SmtpIntake::examine(Peer client) {
    const auto& access = context_.settings.access;
    ClientQuestions questions{access.reverse_lookup, access.blocklists};
    // Those who may relay are our own people; who authenticates later is spared then.
    if (policy_.may_relay(client)) questions.blocklists.clear();
    co_await look_up(context_.loop, resolver_, std::move(questions), client);
    co_return client;
}

smtp::Task<Reply> SmtpIntake::check_sender(const Peer&, const Envelope& envelope,
                                           std::uint64_t announced) {
    const bool fits = co_await room_.on_disk_for(announced);
    if (!fits) co_return reply(452, "4.3.1", "Insufficient system storage");
    const auto& path = envelope.reverse_path;
    co_return reply(250, "2.1.0", (path.is_null() ? "<>" : path.text()) + "....Sender OK");
}

smtp::Task<Reply> SmtpIntake::check_recipient(const Peer& client, const Envelope&,
                                              const Recipient& recipient) {
    if (const auto refusal = policy_.refusal(client, recipient.address)) co_return *refusal;
    const auto address = policy_.completed(client, recipient.address);
    if (is_local(context_.settings.domains, address.domain)) {
        const bool full = co_await room_.drop_is_full();
        if (full) co_return reply(452, "4.2.2", "Mailbox Full");
    }
    co_return reply(250, "2.1.5", recipient.address.text());
}

std::unique_ptr<smtp::IncomingMessage> SmtpIntake::begin(const Peer& client, Envelope envelope) {
    envelope.reverse_path = completed(context_.settings.domains, std::move(envelope.reverse_path));
    std::vector<Recipient> recipients;
    for (auto& recipient : std::exchange(envelope.recipients, {})) {
        recipient.address = policy_.completed(client, std::move(recipient.address));
        // Who is named twice has one copy; what was asked for first counts.
        const bool named = std::ranges::find(recipients, recipient.address, &Recipient::address) !=
                           recipients.end();
        if (!named) recipients.push_back(std::move(recipient));
    }
    envelope.recipients = std::move(recipients);
    auto stored = [this](std::uint64_t octets, bool dropped) { room_.took(octets, dropped); };
    return make_incoming_file(context_, client, std::move(envelope), stored);
}

}  // namespace mailroot::delivery
