#include "delivery/recipient_policy.hpp"

#include "core/text.hpp"
#include "delivery/local_domains.hpp"

namespace mailroot::delivery {

namespace {

bool is_own_literal(const Peer& client, std::string_view domain) {
    return equal_ignoring_case(domain, '[' + client.server_address + ']') ||
           equal_ignoring_case(domain, "[IPv6:" + client.server_address + ']');
}

/// `a%b@here`, `b!a@here`, `"a@b"@here`: a route that the sender wants taken. We take none, but
/// what reads our mail may (Postfix: allow_untrusted_routing).
bool is_routed(std::string_view local_part) {
    return local_part.find_first_of("%!@") != std::string_view::npos;
}

}  // namespace

bool RecipientPolicy::may_relay(const Peer& client) const {
    return (client.authenticated() && settings_.relay.authenticated) ||
           relay_.contains(client.address);
}

Address RecipientPolicy::completed(const Peer& client, Address address) const {
    if (is_own_literal(client, address.domain)) address.domain.clear();
    return delivery::completed(settings_.domains, std::move(address));
}

std::optional<Reply> RecipientPolicy::refusal(const Peer& client, const Address& recipient) const {
    const bool trusted = may_relay(client);
    const auto address = completed(client, recipient);
    const bool local = is_local(settings_.domains, address.domain);
    const bool postmaster =
        local && equal_ignoring_case(unquoted(address.local_part), "postmaster");
    if (!trusted && !postmaster && !client.blocklist.empty()) {
        return reply(554, "5.7.1",
                     "Service unavailable; client [" + client.address + "] blocked using " +
                         client.blocklist);
    }
    const auto no_relay = reply(550, "5.7.1", "Unable to relay for " + recipient.text());
    if (!local) {
        const auto* remote = remote_domain(settings_.domains, address.domain);
        const bool open = trusted || (remote != nullptr && remote->relay);
        if (!open || (!trusted && is_routed(address.local_part))) return no_relay;
        return std::nullopt;
    }
    const auto list = lists_->find(domain_key(address.domain));
    if (list != lists_->end() && !list->second.has(address.local_part)) {
        return reply(550, "5.1.1", "User unknown: " + recipient.text());
    }
    if (!trusted && is_routed(address.local_part)) return no_relay;
    return std::nullopt;
}

}  // namespace mailroot::delivery
