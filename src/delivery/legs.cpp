#include "delivery/legs.hpp"

#include "delivery/local_domains.hpp"

#include <map>
#include <string>

namespace mailroot::delivery {

namespace {

/// What two routes must share to be one leg.
std::string key_of(const Route& route) {
    switch (route.kind) {
        case Route::Kind::local:
            return "local";
        case Route::Kind::remote:
            return route.destination;
        case Route::Kind::turned:
            return "turned";
        default:
            return "nowhere " + route.verdict.reply.text();
    }
}

}  // namespace

smtp::Task<std::vector<Leg>> plan_legs(Router& router, const Envelope& envelope,
                                       std::size_t most_recipients, const Called* called) {
    std::map<std::string, Route> routes;        // by domain
    std::map<std::string, std::size_t> newest;  // by key, the leg that still has room
    std::vector<Leg> legs;
    for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
        const auto& recipient = envelope.recipients[i];
        if (recipient.settled) continue;
        const auto domain = lower_case(recipient.address.domain);
        if (!routes.contains(domain)) routes[domain] = co_await router.route(domain, called);
        const auto& route = routes[domain];
        const auto [found, added] = newest.try_emplace(key_of(route), legs.size());
        const bool limited = route.kind == Route::Kind::remote || route.kind == Route::Kind::turned;
        const bool full =
            !added && limited && legs[found->second].recipients.size() == most_recipients;
        if (full) found->second = legs.size();
        if (added || full) legs.push_back({route, {}});
        legs[found->second].recipients.push_back(i);
    }
    co_return legs;
}

Envelope envelope_of(const Leg& leg, const Envelope& envelope) {
    Envelope part{envelope.reverse_path, envelope.body, envelope.ret, envelope.envid, {},
                  envelope.utf8};
    for (const auto index : leg.recipients) part.recipients.push_back(envelope.recipients[index]);
    return part;
}

Envelope outgoing_envelope(const Leg& leg, const Envelope& envelope,
                           const config::Settings& settings) {
    auto part = envelope_of(leg, envelope);
    const auto& masquerade = settings.delivery.masquerade;
    auto& sender = part.reverse_path;
    if (!masquerade.empty() && !sender.is_null() && is_local(settings.domains, sender.domain))
        sender.domain = masquerade;
    return part;
}

}  // namespace mailroot::delivery
