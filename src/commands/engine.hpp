#pragma once

#include "commands/command.hpp"
#include "config/settings.hpp"
#include "core/event_log.hpp"
#include "core/message_id.hpp"
#include "core/reactor.hpp"
#include "delivery/context.hpp"
#include "delivery/courier.hpp"
#include "delivery/credentials.hpp"
#include "delivery/destinations.hpp"
#include "delivery/pickup_courier.hpp"
#include "delivery/router.hpp"
#include "dns/resolver.hpp"
#include "folders/mailroot.hpp"
#include "smtp/client.hpp"
#include "smtp/http_client.hpp"
#include "smtp/loop.hpp"

#include <functional>
#include <memory>
#include <random>

namespace mailroot::commands {

/// What every command that moves mail needs, put together once: the loop, the disk's threads, name
/// service, outgoing connections and the couriers.
class Engine {
 public:
    /// `listening` are the addresses that `serve` listens on, `127.0.0.1:25`; mail is never sent to
    /// them. All references must outlive the engine.
    static Result<std::unique_ptr<Engine>> make(const Environment& environment, smtp::Loop& loop,
                                                const config::Settings& settings, EventLog& log,
                                                folders::Mailroot mailroot,
                                                const std::vector<std::string>& listening);
    ~Engine();

    /// Runs a task and all that it starts to its end, connections included.
    void run(smtp::Task<void> task);

    /// Name service, with a memory.
    [[nodiscard]] dns::Resolver& resolver() const { return *cache_; }

    smtp::Loop& loop;
    smtp::Threads disk;
    std::unique_ptr<Reactor> reactor;
    const folders::Mailroot mailroot;
    MessageIdSource ids;
    std::mt19937 random;
    delivery::Context context;

 private:
    std::unique_ptr<dns::Resolver> resolver_;
    std::unique_ptr<dns::Resolver> cache_;
    std::unique_ptr<smtp::Connector> connector_;
    std::unique_ptr<smtp::HttpClient> http_;
    std::unique_ptr<delivery::Logins> logins_;
    std::unique_ptr<delivery::Router> router_;

 public:
    std::unique_ptr<delivery::Destinations> destinations;
    std::unique_ptr<delivery::Courier> courier;
    std::unique_ptr<delivery::PickupCourier> pickup_courier;

 private:
    Engine(const Environment& environment, smtp::Loop& on, const config::Settings& settings,
           EventLog& log, folders::Mailroot opened);
};

/// How connections leave this machine, with the password of `delivery.proxyUser` from its file.
/// Kind::config names the file.
Result<smtp::WayOut> way_out_of(const config::Settings::Delivery& delivery);

/// The mailroot named on the command line. Run by root, the process becomes its owner first.
/// Kind::not_found where there is none and `if_missing` says refuse.
Result<folders::Mailroot> open_mailroot(const Environment& environment,
                                        folders::IfMissing if_missing);

/// The log that -v and -q ask for.
std::unique_ptr<EventLog> make_log(const Environment& environment);

}  // namespace mailroot::commands
