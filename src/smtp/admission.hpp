#pragma once

#include "core/reply.hpp"
#include "smtp/networks.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// Who may connect, and how often. A count of 0 is no limit.
struct AdmissionOptions {
    Networks allow;                            ///< they alone may connect; empty: all
    Networks deny;                             ///< they may not, whatever `allow` says
    Networks exempt;                           ///< spared by the limits below
    std::uint64_t connections_per_ip = 50;     ///< of one client at once
    std::uint64_t connections_per_minute = 0;  ///< new ones of one client
    std::uint64_t recipients_per_minute = 0;   ///< asked for by one client
};

/// Keeps count of clients. A client is an IPv4 address, or the /64 of an IPv6 address: whoever has
/// one address of it has them all. Times are those of the monotonic clock.
class Admission {
 public:
    using SteadyPoint = std::chrono::steady_clock::time_point;

    explicit Admission(AdmissionOptions options) : options_(std::move(options)) {}

    /// Lets a connection in and counts it, until leave(); or gives the reply that it is turned away
    /// with, and does not.
    std::optional<Reply> admit(std::string_view address, SteadyPoint now);

    /// A connection that was let in is gone.
    void leave(std::string_view address);

    /// Counts a recipient; the reply that refuses it, where it is one too many.
    std::optional<Reply> recipient(std::string_view address, SteadyPoint now);

    /// Clients that are remembered: those that are connected, and those that came within the last
    /// two minutes or so.
    [[nodiscard]] std::size_t remembered() const { return clients_.size(); }

 private:
    /// So many in the minute that runs, each minute anew.
    struct Window {
        SteadyPoint began;
        std::uint64_t count = 0;

        bool take(std::uint64_t most, SteadyPoint now);
    };
    struct Client {
        std::uint64_t connections = 0;
        Window new_connections;
        Window recipients;
        SteadyPoint seen;
    };

    void forget_old(SteadyPoint now);

    const AdmissionOptions options_;
    std::map<std::string, Client> clients_;
    SteadyPoint forgot_;
};

}  // namespace mailroot::smtp
