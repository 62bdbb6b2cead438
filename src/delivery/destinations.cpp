#include "delivery/destinations.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;

// Long enough for the next message of a burst, too short to be a burden to the host (Postfix: 2 s).
constexpr auto k_linger = 2s;

/// Whether the host hung up and has the message for nobody. Where it said 421 it does not have it,
/// and otherwise, if it cannot.
bool is_lost(const std::vector<Verdict>& verdicts, bool can_have_it) {
    return std::ranges::all_of(verdicts, [can_have_it](const Verdict& verdict) {
        const int code = verdict.reply.code;
        return verdict.kind == Verdict::Kind::deferred &&
               (code == 421 || (code == 0 && !can_have_it));
    });
}

}  // namespace

/// One message on its way to one destination.
struct Destinations::Letter {
    Letter(smtp::Loop& loop, Envelope to_send, OpenMessage opener)
        : envelope(std::move(to_send)), open(std::move(opener)), changed(loop) {}

    Envelope envelope;
    OpenMessage open;
    std::vector<Verdict> verdicts;
    bool decided = false;
    bool sent_again = false;  ///< once, over a new connection
    smtp::Signal changed;

    void decide(std::vector<Verdict> with) {
        verdicts = std::move(with);
        decided = true;
        changed.notify();
    }
};

struct Destinations::Destination {
    Destination(smtp::Loop& loop, std::string key) : name(std::move(key)), changed(loop) {}

    const std::string name;
    std::vector<smtp::Endpoint> endpoints;  ///< of the newest route
    std::deque<std::shared_ptr<Letter>> ready;
    std::size_t workers = 0;
    std::size_t hungry = 0;  ///< workers whose next step is to take a letter
    smtp::Signal changed;

    /// Nobody can be reached: what is ready has its verdict.
    void decide_all(const Verdict& verdict) {
        for (const auto& letter : std::exchange(ready, {})) {
            letter->decide({letter->envelope.recipients.size(), verdict});
        }
    }
};

Destinations::Destinations(smtp::Loop& loop, smtp::Connector& connector,
                           const config::Settings::Delivery& settings)
    : loop_(loop),
      connector_(connector),
      settings_(settings),
      workers_(loop, settings.connections) {}

Destinations::~Destinations() = default;

smtp::Task<std::vector<Verdict>> Destinations::deliver(Route route, Envelope envelope,
                                                       OpenMessage open) {
    auto& destination = destinations_[route.destination];
    if (!destination) destination = std::make_unique<Destination>(loop_, route.destination);
    destination->endpoints = std::move(route.endpoints);
    const auto letter = std::make_shared<Letter>(loop_, std::move(envelope), std::move(open));
    destination->ready.push_back(letter);
    destination->changed.notify();
    start_workers(*destination);
    while (!letter->decided) co_await letter->changed.wait();
    co_return std::move(letter->verdicts);
}

smtp::Task<void> Destinations::close() {
    closing_ = true;
    for (auto& [name, destination] : destinations_) destination->changed.notify();
    co_await workers_.idle();
}

void Destinations::start_workers(Destination& destination) {
    while (destination.hungry < destination.ready.size() &&
           destination.workers < settings_.connections_per_domain &&
           connections_ < settings_.connections) {
        ++connections_;
        ++destination.workers;
        ++destination.hungry;
        workers_.start(work(destination));
    }
}

void Destinations::start_all_workers() {
    for (auto& [name, destination] : destinations_) start_workers(*destination);
}

smtp::Task<void> Destinations::work(Destination& destination) {
    co_await send_letters(destination);
    --destination.hungry;
    --destination.workers;
    if (destination.workers == 0 && destination.ready.empty()) {
        destinations_.erase(std::string(destination.name));
    }
    // Only the limit for all can have kept another destination waiting for this one's connection.
    const bool was_full = connections_-- >= settings_.connections;
    if (was_full) start_all_workers();
}

smtp::Task<void> Destinations::send_letters(Destination& destination) {
    std::unique_ptr<smtp::ClientConnection> connection;
    std::size_t sent = 0;
    while (co_await letter_waits(destination, connection != nullptr)) {
        // While we waited the host may have hung up.
        if (connection && !connection->usable()) connection.reset();
        if (connection && sent >= settings_.messages_per_connection) {
            co_await connection->quit();
            connection.reset();
        }
        if (!connection) {
            auto outcome = co_await connect(destination);
            if (!outcome.connection) {
                // With other connections open it is this one that was too many.
                if (destination.workers == 1) destination.decide_all(outcome.failure);
                co_return;
            }
            connection = std::move(outcome.connection);
            sent = 0;
        }
        if (!destination.ready.empty()) {
            co_await send_next(destination, *connection, sent > 0);
            ++sent;
        }
        if (!connection->usable()) connection.reset();
    }
    if (connection) co_await connection->quit();
}

smtp::Task<bool> Destinations::letter_waits(Destination& destination, bool linger) {
    const auto until = std::chrono::steady_clock::now() + k_linger;
    while (linger && destination.ready.empty() && !closing_) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            until - std::chrono::steady_clock::now());
        if (left <= 0ms) break;
        co_await destination.changed.wait_for(left);
    }
    co_return !destination.ready.empty();
}

smtp::Task<smtp::ConnectOutcome> Destinations::connect(const Destination& destination) {
    // A copy: a newer route may replace the list while we wait.
    const auto endpoints = destination.endpoints;
    std::optional<Verdict> failure;
    for (const auto& endpoint : endpoints) {
        auto outcome = co_await connector_.connect(endpoint);
        if (outcome.connection) co_return outcome;
        // One host that may be back outweighs one that never takes mail.
        if (!failure || failure->kind == Verdict::Kind::failed)
            failure = std::move(outcome.failure);
    }
    smtp::ConnectOutcome none;
    none.failure = std::move(*failure);
    co_return none;
}

smtp::Task<void> Destinations::send_next(Destination& destination,
                                         smtp::ClientConnection& connection, bool reused) {
    const auto letter = destination.ready.front();
    destination.ready.pop_front();
    --destination.hungry;
    const auto message = letter->open();
    auto verdicts = co_await connection.send(letter->envelope, *message);
    ++destination.hungry;
    // Between two messages a host may hang up; that says nothing of the second one.
    // A host that answered nothing was gone before: it would have had the message at a later
    // attempt as well.
    const bool can_have_it = connection.was_answered() && message->read_to_the_end();
    const bool again = reused && !connection.usable() && is_lost(verdicts, can_have_it) &&
                       !std::exchange(letter->sent_again, true);
    if (again) {
        destination.ready.push_front(letter);
    } else {
        letter->decide(std::move(verdicts));
    }
}

}  // namespace mailroot::delivery
