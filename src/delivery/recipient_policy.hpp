#pragma once

#include "config/settings.hpp"
#include "core/envelope.hpp"
#include "core/peer.hpp"
#include "core/reply.hpp"
#include "delivery/recipient_list.hpp"
#include "smtp/networks.hpp"

#include <memory>
#include <optional>

namespace mailroot::delivery {

/// Decides for whom an SMTP client may send mail: anybody to local recipients, and those who may
/// relay to all.
class RecipientPolicy {
 public:
    /// `settings` must outlive it; `relay` are the networks of `relay.networks`.
    RecipientPolicy(const config::Settings& settings, smtp::Networks relay)
        : settings_(settings), relay_(std::move(relay)) {}

    /// Who is there from here on.
    void use(std::shared_ptr<const RecipientLists> lists) { lists_ = std::move(lists); }

    /// The reply that refuses a recipient, where it is refused.
    [[nodiscard]] std::optional<Reply> refusal(const Peer& client, const Address& recipient) const;

    /// Whether the client may send mail to other hosts through us.
    [[nodiscard]] bool may_relay(const Peer& client) const;

    /// The address as it is delivered to: one without a domain, or at the address literal of ours
    /// that the client connected to, belongs to the default domain.
    [[nodiscard]] Address completed(const Peer& client, Address address) const;

 private:
    const config::Settings& settings_;
    const smtp::Networks relay_;
    std::shared_ptr<const RecipientLists> lists_ = std::make_shared<RecipientLists>();
};

}  // namespace mailroot::delivery
