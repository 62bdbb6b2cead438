#pragma once

#include "core/envelope.hpp"
#include "delivery/router.hpp"
#include "smtp/loop.hpp"

#include <vector>

namespace mailroot::delivery {

/// Recipients of one message that share a route: one transaction, or one Drop file.
struct Leg {
    Route route;
    std::vector<std::size_t> recipients;  ///< indexes into the envelope
};

/// The legs for all unsettled recipients, of whose domains `called` may name some. Domains with the
/// same hosts share a leg; no leg to another host has more than `most_recipients`.
smtp::Task<std::vector<Leg>> plan_legs(Router& router, const Envelope& envelope,
                                       std::size_t most_recipients, const Called* called = nullptr);

/// The envelope for the recipients of one leg.
[[nodiscard]] Envelope envelope_of(const Leg& leg, const Envelope& envelope);

/// The same as another host is shown it: a reverse path of ours with `delivery.masquerade` for its
/// domain.
[[nodiscard]] Envelope outgoing_envelope(const Leg& leg, const Envelope& envelope,
                                         const config::Settings& settings);

}  // namespace mailroot::delivery
