#pragma once

#include "core/peer.hpp"
#include "dns/resolver.hpp"
#include "smtp/loop.hpp"

#include <string>
#include <vector>

namespace mailroot::delivery {

/// What DNS is asked about a client.
struct ClientQuestions {
    bool name = false;                    ///< Peer::name
    std::vector<std::string> blocklists;  ///< Peer::blocklist: the first of these that names it
};

/// Asks, all at once, and waits a few seconds at most: what is not known by then stays empty, and
/// nobody is turned away because a name server is ill. A name counts where it has the address
/// (RFC 8601 2.7.3), a list where it answers with 127.0.0.0/8 (RFC 5782 2.1) but for
/// 127.255.255.0/24, by which lists say that they do not answer us. `resolver` must outlive
/// `loop`'s work.
smtp::Task<void> look_up(smtp::Loop& loop, dns::Resolver& resolver, ClientQuestions questions,
                         Peer& client);

}  // namespace mailroot::delivery
