#include "commands/engine.hpp"

#include "delivery/secret_file.hpp"
#include "dns/ares_resolver.hpp"
#include "dns/caching_resolver.hpp"
#include "observe/diagnostic_log.hpp"
#include "os/host.hpp"
#include "os/owner.hpp"

#include <charconv>

namespace mailroot::commands {

namespace {

// Blocked in fsync most of the time: what they wait for together the disk does together.
constexpr std::size_t k_disk_threads = 32;

constexpr std::size_t k_cached_names = 10'000;

/// `127.0.0.1:25` and `[::1]:25` taken apart.
smtp::Endpoint endpoint_of(const std::string& listening) {
    const auto colon = listening.rfind(':');
    auto address = listening.substr(0, colon);
    if (address.starts_with('[')) address = address.substr(1, address.size() - 2);
    std::uint16_t port = 0;
    std::from_chars(listening.data() + colon + 1, listening.data() + listening.size(), port);
    return {"", address, port};
}

std::vector<smtp::Endpoint> endpoints_of(const std::vector<std::string>& listening) {
    std::vector<smtp::Endpoint> endpoints;
    for (const auto& address : listening) endpoints.push_back(endpoint_of(address));
    return endpoints;
}

}  // namespace

Engine::Engine(const Environment& environment, smtp::Loop& on, const config::Settings& settings,
               EventLog& log, folders::Mailroot opened)
    : loop(on),
      disk(k_disk_threads),
      reactor(smtp::make_reactor(on)),
      mailroot(std::move(opened)),
      ids(environment.clock, std::random_device{}()),
      random(std::random_device{}()),
      context{mailroot, settings, environment.clock,      ids, log, loop,
              disk,     random,   [](const MessageId&) {}} {}

Engine::~Engine() {
    // Their work refers to what is about to go.
    disk.join();
}

Result<std::unique_ptr<Engine>> Engine::make(const Environment& environment, smtp::Loop& loop,
                                             const config::Settings& settings, EventLog& log,
                                             folders::Mailroot mailroot,
                                             const std::vector<std::string>& listening) {
    std::unique_ptr<Engine> engine(
        new Engine(environment, loop, settings, log, std::move(mailroot)));
    auto resolver =
        dns::make_ares_resolver(*engine->reactor, {settings.dns.servers, settings.dns.timeout});
    if (!resolver) return fail(std::move(resolver), "dns.servers");
    engine->resolver_ = std::move(*resolver);
    engine->cache_ = dns::make_caching_resolver(*engine->resolver_, *engine->reactor,
                                                environment.clock, k_cached_names);
    auto way_out = way_out_of(settings.delivery);
    if (!way_out) return fail(std::move(way_out));
    auto connector = smtp::make_curl_connector(*engine->reactor, settings.hostname, {},
                                               settings.tls.authorities, *std::move(way_out));
    if (!connector) return fail(std::move(connector));
    engine->connector_ = std::move(*connector);
    MAILROOT_TRY(delivery::check_secrets(settings));
    auto http = smtp::make_curl_http_client(*engine->reactor, settings.tls.authorities,
                                            delivery::k_secret_patience);
    if (!http) return fail(std::move(http));
    engine->http_ = std::move(*http);
    engine->logins_ = std::make_unique<delivery::Logins>(engine->context, *engine->http_);
    delivery::OwnEndpoints own{endpoints_of(listening), os::machine_addresses()};
    engine->router_ = std::make_unique<delivery::Router>(settings, *engine->cache_, engine->random,
                                                         *engine->logins_, std::move(own));
    engine->destinations = std::make_unique<delivery::Destinations>(
        engine->loop, *engine->connector_, settings.delivery);
    engine->courier = std::make_unique<delivery::Courier>(engine->context, *engine->router_,
                                                          *engine->destinations);
    engine->pickup_courier =
        std::make_unique<delivery::PickupCourier>(engine->context, *engine->courier);
    return engine;
}

Result<smtp::WayOut> way_out_of(const config::Settings::Delivery& delivery) {
    smtp::WayOut way_out{delivery.bind_address, delivery.proxy, delivery.proxy_user, ""};
    if (delivery.proxy_password_file.empty()) return way_out;
    auto password = delivery::secret_in(delivery.proxy_password_file);
    if (!password)
        return fail(Error::Kind::config, "delivery.proxyPasswordFile: " + password.error().what);
    way_out.proxy_password = *std::move(password);
    return way_out;
}

void Engine::run(smtp::Task<void> task) {
    auto all = [](Engine& engine, smtp::Task<void> first) -> smtp::Task<void> {
        co_await std::move(first);
        co_await engine.destinations->close();
        engine.loop.stop();
    };
    smtp::spawn(loop, all(*this, std::move(task)));
    loop.run();
}

Result<folders::Mailroot> open_mailroot(const Environment& environment,
                                        folders::IfMissing if_missing) {
    const auto& root = environment.options.root;
    MAILROOT_TRY(os::become_owner(root));
    return folders::Mailroot::open(os::system_files(), root, if_missing);
}

std::unique_ptr<EventLog> make_log(const Environment& environment) {
    using observe::Loudness;
    const auto& options = environment.options;
    return observe::make_diagnostic_log(options.quiet     ? Loudness::quiet
                                        : options.verbose ? Loudness::verbose
                                                          : Loudness::normal);
}

}  // namespace mailroot::commands
