#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/server_setup.hpp"
#include "delivery/badmail_retention.hpp"
#include "delivery/called_mail.hpp"
#include "delivery/folder_sync.hpp"
#include "delivery/intake.hpp"
#include "delivery/pickup_watcher.hpp"
#include "delivery/queue_runner.hpp"
#include "delivery/recovery.hpp"
#include "os/owner.hpp"
#include "smtp/server.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdlib>
#include <memory>

namespace mailroot::commands {

namespace {

using namespace std::chrono_literals;

// How long transactions and deliveries under way may take to finish when the service is asked to
// stop.
constexpr std::chrono::seconds k_grace = 30s;

struct ServeOptions {
    std::vector<std::string> listen;
};

/// An address that cannot be read is the fault of whoever wrote it.
Error listen_error(const ServeOptions& options, Error error) {
    const bool typed = !options.listen.empty();
    if (error.kind == Error::Kind::parse)
        error.kind = typed ? Error::Kind::usage : Error::Kind::config;
    if (error.kind == Error::Kind::not_found) error.kind = Error::Kind::unavailable;
    return std::move(error).in(typed ? "--listen" : "listen");
}

/// Whether the process was asked to end. Listens from its construction on: a service may be stopped
/// while it starts.
class StopRequest {
 public:
    explicit StopRequest(smtp::Loop& loop)
        : changed_(loop), signals_(smtp::on_termination(loop, [this] {
              made_ = true;
              changed_.notify();
          })) {}

    [[nodiscard]] bool made() const { return made_; }
    /// Waits until it is made, or so long.
    smtp::Task<void> wait_for(std::chrono::milliseconds most) {
        if (!made_) co_await changed_.wait_for(most);
    }
    smtp::Task<void> wait() {
        while (!made_) co_await changed_.wait();
    }

 private:
    bool made_ = false;
    smtp::Signal changed_;
    std::shared_ptr<void> signals_;
};

/// The whole service, for as long as it runs.
class Service {
 public:
    Service(Engine& engine, smtp::Server& server, StopRequest& stop_request,
            smtp::Networks relay_networks, ServerFiles files)
        : engine_(engine),
          server_(server),
          stop_request_(stop_request),
          intake_(engine.context, engine.resolver(), std::move(relay_networks)),
          attempts_(engine.loop, k_attempts),
          queue_(engine.context, *engine.reactor, *engine.courier, *engine.pickup_courier,
                 attempts_),
          pickup_(engine.context, *engine.reactor, *engine.pickup_courier, attempts_,
                  [this](const MessageId& id, TimePoint due) { queue_.waits(id, due); }),
          called_mail_(engine.context, queue_, intake_.policy(), attempts_),
          folder_sync_(engine.context),
          recovery_(engine.context, *engine.reactor),
          badmail_retention_(engine.context),
          loops_(engine.loop) {
        use(std::move(files));
        engine.pickup_courier->set_patience(k_pickup_patience);
        engine.context.moved_on = [this] { folder_sync_.wanted(); };
        engine.context.accepted = [this](const MessageId& id) {
            queue_.waits(id, engine_.context.clock.now());
        };
    }

    /// Reads certificates, users and recipients anew; what cannot be read stays as it was.
    void reload() {
        auto files = read_server_files(engine_.context.settings);
        if (!files) {
            return engine_.context.log.warning("not reloaded, all stays as it was: " +
                                               files.error().what);
        }
        use(*std::move(files));
        engine_.context.log.notice("reloaded certificate, users and recipients");
    }

    smtp::Task<void> run() {
        loops_.start(folder_sync_.run());
        // What a crash left ready goes before anything is attempted anew.
        co_await recovery_.recover_now();
        loops_.start(recovery_.run());
        loops_.start(badmail_retention_.run());
        loops_.start(queue_.run());
        loops_.start(pickup_.run());
        loops_.start(called_mail_.run());
        server_.start(intake_, &called_mail_);
        engine_.context.log.notice("ready");
        co_await stop_request_.wait();
        co_await stop();
    }

 private:
    void use(ServerFiles files) {
        warn_of(files, engine_.context.clock, engine_.context.log);
        server_.use(std::move(files.secrets));
        intake_.use(std::move(files.recipients));
    }

    // A host that has no connection free for so long is slow.
    static constexpr std::chrono::seconds k_pickup_patience = 1s;

    // Files in hand at once: each is a descriptor, and with a slow host a connection.
    static constexpr std::size_t k_attempts = 1000;

    smtp::Task<void> stop() {
        engine_.context.log.notice("stopping");
        recovery_.stop();
        badmail_retention_.stop();
        queue_.stop();
        pickup_.stop();
        called_mail_.stop();
        smtp::spawn(engine_.loop, give_up_after_grace());
        // Longer than the grace: what is cut off at its end must not outlive what it works with.
        co_await server_.stop(2 * k_grace);
        co_await attempts_.idle();
        folder_sync_.stop();
        co_await loops_.idle();
    }

    /// What does not finish in time ends as in a crash, which the folders are made for: the next
    /// process takes it up.
    smtp::Task<void> give_up_after_grace() {
        co_await smtp::pause(k_grace);
        engine_.context.log.warning(
            "not all was finished in time; it is taken up at the next start");
        std::quick_exit(k_done);
    }

    Engine& engine_;
    smtp::Server& server_;
    StopRequest& stop_request_;
    delivery::SmtpIntake intake_;
    smtp::TaskGroup attempts_;
    delivery::QueueRunner queue_;
    delivery::PickupWatcher pickup_;
    delivery::CalledMail called_mail_;
    delivery::FolderSync folder_sync_;
    delivery::Recovery recovery_;
    delivery::BadmailRetention badmail_retention_;
    smtp::TaskGroup loops_;
};

Result<int> serve(const ServeOptions& options, Environment& environment) {
    auto settings = settings_of(environment);
    if (!settings) return tl::unexpected(settings.error());
    if (!options.listen.empty()) {
        settings->listen = options.listen;
        auto fits = config::check_together(*settings);
        if (!fits) return fail(Error::Kind::usage, "--" + fits.error().what);
    }
    os::raise_file_limit();
    const auto log = make_log(environment);

    // Ports below 1024 are bound first: as the mailroot's owner we may not.
    smtp::Loop loop(1);
    StopRequest stop_request(loop);
    std::function<void()> reload = [] {};
    const auto hang_up = smtp::on_hang_up(loop, [&reload] { reload(); });
    auto admission = admission_options(*settings);
    if (!admission) return fail(std::move(admission));
    auto proxies = networks("access.proxies", settings->access.proxies);
    if (!proxies) return fail(std::move(proxies));
    auto relay_networks = admission->exempt;
    const auto server = smtp::make_server(loop, *log, server_options(*settings),
                                          *std::move(admission), *std::move(proxies));
    // Read as root: keys and password hashes are not the mailroot owner's to read.
    auto files = read_server_files(*settings);
    if (!files) return fail(std::move(files));
    std::vector<std::string> listening;
    for (const auto& address : settings->listen) {
        auto taken = server->listen(listener_options(address));
        const bool no_such_family = !taken && taken.error().kind == Error::Kind::not_found;
        if (no_such_family && settings->listen == config::Settings{}.listen) {
            // Nobody asked for IPv6 by name, and many a container has none.
            log->notice(taken.error().what);
            continue;
        }
        if (!taken) return tl::unexpected(listen_error(options, std::move(taken).error()));
        listening.push_back(std::move(*taken));
    }
    auto mailroot = open_mailroot(environment, folders::IfMissing::create);
    if (!mailroot) return fail(std::move(mailroot));
    MAILROOT_TRY(mailroot->probe());
    // We are the mailroot's owner by now.
    if (auto again = read_server_files(*settings); !again)
        log->warning("a reload will fail: " + again.error().what);
    auto engine = Engine::make(environment, loop, *settings, *log, std::move(*mailroot), listening);
    if (!engine) return fail(std::move(engine));
    for (const auto& address : listening) log->notice("listening on " + address);
    Service service(**engine, *server, stop_request, std::move(relay_networks), *std::move(files));
    reload = [&service] { service.reload(); };
    (*engine)->run(service.run());
    log->notice("stopped");
    return k_done;
}

}  // namespace

void add_serve(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<ServeOptions>();
    command
        .add_option("--listen", options->listen,
                    "where to serve SMTP; given once or more, it replaces listen[]")
        ->type_name("ADDR:PORT");
    on_chosen(command, environment, options, serve);
}

}  // namespace mailroot::commands
