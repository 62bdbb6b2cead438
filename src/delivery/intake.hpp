#pragma once

#include "delivery/context.hpp"
#include "delivery/recipient_policy.hpp"
#include "delivery/room.hpp"
#include "dns/resolver.hpp"
#include "smtp/intake.hpp"

#include <memory>

namespace mailroot::delivery {

/// Takes messages from the SMTP server.
class SmtpIntake final : public smtp::Intake {
 public:
    /// All must outlive it; `relay` are the networks of `relay.networks`.
    SmtpIntake(const Context& context, dns::Resolver& resolver, smtp::Networks relay)
        : context_(context),
          resolver_(resolver),
          policy_(context.settings, std::move(relay)),
          room_(context) {}

    /// Who is there from here on.
    void use(std::shared_ptr<const RecipientLists> lists) { policy_.use(std::move(lists)); }

    [[nodiscard]] const RecipientPolicy& policy() const { return policy_; }

    smtp::Task<Peer> examine(Peer client) override;
    smtp::Task<Reply> check_sender(const Peer& client, const Envelope& envelope,
                                   std::uint64_t announced) override;
    smtp::Task<Reply> check_recipient(const Peer& client, const Envelope& so_far,
                                      const Recipient& recipient) override;
    std::unique_ptr<smtp::IncomingMessage> begin(const Peer& client, Envelope envelope) override;

 private:
    const Context& context_;
    dns::Resolver& resolver_;
    RecipientPolicy policy_;
    Room room_;
};

}  // namespace mailroot::delivery
