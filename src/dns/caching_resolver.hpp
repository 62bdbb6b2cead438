#pragma once

#include "core/clock.hpp"
#include "core/reactor.hpp"
#include "dns/resolver.hpp"

#include <memory>

namespace mailroot::dns {

/// A Resolver that keeps what `upstream` found for its TTL (at most a day), and that nothing was
/// found for at most five minutes; temporary failures are not kept. Questions under way are shared.
/// At most `capacity` names of each type are held; the one unused longest goes first. `upstream`,
/// `reactor` and `clock` must outlive it.
std::unique_ptr<Resolver> make_caching_resolver(Resolver& upstream, Reactor& reactor,
                                                const Clock& clock, std::size_t capacity);

}  // namespace mailroot::dns
