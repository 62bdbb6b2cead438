#pragma once

#include "core/reactor.hpp"
#include "core/result.hpp"
#include "dns/resolver.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace mailroot::dns {

/// How the name servers are asked.
struct ResolverOptions {
    std::vector<std::string>
        servers;  ///< `192.0.2.1`, `192.0.2.1:5353`, `[::1]:5353`; empty: the system's
    std::chrono::milliseconds timeout{
        5'000};  ///< for the first try at one server; doubled at each further round; runs from when
                 ///< the question is asked
};

/// A Resolver over c-ares, driven by `reactor`, which must outlive it. At most 100 questions are
/// asked at once, the rest in their order once one is answered, or was not for a second.
/// Kind::config where a server's address cannot be read.
Result<std::unique_ptr<Resolver>> make_ares_resolver(Reactor& reactor,
                                                     const ResolverOptions& options);

}  // namespace mailroot::dns
