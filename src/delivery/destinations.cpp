#include "delivery/destinations.hpp"

#include "delivery/pace.hpp"
#include "delivery/retry_policy.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Long enough for the next message of a burst, too short to be a burden to the host (Postfix: 2 s).
constexpr auto k_linger = 2s;

// By count alone the slowest host of several would collect all connections (Postfix's
// smtp_connection_reuse_time_limit).
constexpr auto k_longest_use = 5min;

// Before this many are known, none is worth looking for.
constexpr std::size_t k_few = 1000;

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
    bool being_sent = false;
    bool sent_again = false;  ///< once, over a new connection
    smtp::Signal changed;

    void decide(std::vector<Verdict> with) {
        verdicts = std::move(with);
        decided = true;
        changed.notify();
    }
};

struct Destinations::Destination {
    Destination(smtp::Loop& loop, const Route& route, const config::Settings::Delivery& settings)
        : name(route.destination),
          pace(route.rate),
          concurrency(settings.connections_per_domain,
                      shortest_wait(retry_policy(settings, false))),
          changed(loop) {}

    const std::string name;
    std::vector<smtp::Endpoint> endpoints;    ///< of the newest route
    std::map<std::string, Time> unreachable;  ///< by address, until when it is tried last
    std::deque<std::shared_ptr<Letter>> ready;
    Pace pace;
    std::size_t workers = 0;
    std::size_t pausing = 0;  ///< of these wait for their turn
    std::size_t hungry = 0;   ///< workers whose next step is to take a letter
    Concurrency concurrency;
    bool lacks_chunking = false;  ///< which it offers
    Verdict why_dead;
    Room told;  ///< the room that was told last
    smtp::Signal changed;

    /// Nobody can be reached: what is ready has its verdict.
    void decide_all(const Verdict& verdict) {
        for (const auto& letter : std::exchange(ready, {})) {
            letter->decide({letter->envelope.recipients.size(), verdict});
        }
    }

    /// Nothing is known of it that a stranger would not have.
    [[nodiscard]] bool is_stranger(Time now) const {
        return workers == 0 && ready.empty() && !concurrency.is_dead(now) && pace.is_rested(now);
    }

    [[nodiscard]] Room room() const {
        return {k_room_of_connection * concurrency.connections(), concurrency.dead_until()};
    }
};

/// A letter that a worker took, opened.
struct Destinations::Parcel {
    std::shared_ptr<Letter> letter;
    std::unique_ptr<OutgoingMessage> message;
};

/// What a worker sends over.
struct Destinations::Connection {
    std::unique_ptr<smtp::ClientConnection> line{};  ///< null: none is open
    std::size_t sent = 0;
    Time opened{};
    std::optional<Parcel> next{};  ///< was begun, and is the next to be sent

    /// While nothing was sent the host may have hung up.
    [[nodiscard]] bool usable() const { return line && line->usable(); }
    [[nodiscard]] bool is_worn(Time now, std::size_t most) const {
        return sent >= most || now - opened >= k_longest_use;
    }
};

Destinations::Destinations(smtp::Loop& loop, smtp::Connector& connector,
                           const config::Settings::Delivery& settings)
    : loop_(loop),
      connector_(connector),
      settings_(settings),
      workers_(loop, settings.connections) {}

Destinations::~Destinations() = default;

void Destinations::on_room(std::function<void(const std::string&, Room)> changed) {
    room_changed_ = std::move(changed);
}

smtp::Task<std::vector<Verdict>> Destinations::deliver(Route route, Envelope envelope,
                                                       OpenMessage open) {
    const auto letter = hand_in(std::move(route), std::move(envelope), std::move(open));
    while (!letter->decided) co_await letter->changed.wait();
    co_return std::move(letter->verdicts);
}

smtp::Task<std::optional<std::vector<Verdict>>> Destinations::deliver_soon(
    Route route, Envelope envelope, OpenMessage open, std::chrono::milliseconds patience) {
    const auto until = steady_clock::now() + patience;
    const auto name = route.destination;
    const auto letter = hand_in(std::move(route), std::move(envelope), std::move(open));
    while (!letter->decided) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
        if (letter->being_sent) {
            co_await letter->changed.wait();
        } else if (left > 0ms) {
            co_await letter->changed.wait_for(left);
        } else {
            std::erase(destinations_.at(name)->ready, letter);
            co_return std::nullopt;
        }
    }
    co_return std::move(letter->verdicts);
}

std::shared_ptr<Destinations::Letter> Destinations::hand_in(Route route, Envelope envelope,
                                                            OpenMessage open) {
    auto& destination = destination_of(route);
    const auto letter = std::make_shared<Letter>(loop_, std::move(envelope), std::move(open));
    if (!route.asked_for && destination.concurrency.is_dead(steady_clock::now())) {
        letter->decide({letter->envelope.recipients.size(), destination.why_dead});
        return letter;
    }
    destination.endpoints = std::move(route.endpoints);
    destination.ready.push_back(letter);
    destination.changed.notify();
    start_workers(destination);
    return letter;
}

Destinations::Destination& Destinations::destination_of(Route& route) {
    if (destinations_.size() > std::max(k_few, forget_at_)) forget_strangers();
    auto& destination = destinations_[route.destination];
    if (!destination) destination = std::make_unique<Destination>(loop_, route, settings_);
    return *destination;
}

/// Those that were dead, and that nobody asked for since. Looked for when they may have doubled, so
/// that it costs each of them little.
void Destinations::forget_strangers() {
    const auto now = steady_clock::now();
    for (auto at = destinations_.begin(); at != destinations_.end();) {
        const auto entry = at++;
        if (entry->second->is_stranger(now)) forget(entry->first);
    }
    forget_at_ = 2 * destinations_.size();
}

void Destinations::forget(std::string name) {
    destinations_.erase(name);
    room_changed_(name, Room{});
}

void Destinations::tell_room(Destination& destination) {
    const auto room = destination.room();
    if (room != std::exchange(destination.told, room)) room_changed_(destination.name, room);
}

smtp::Task<void> Destinations::close() {
    closing_ = true;
    for (auto& [name, destination] : destinations_) destination->changed.notify();
    co_await workers_.idle();
}

void Destinations::start_workers(Destination& destination) {
    while (destination.hungry < destination.ready.size() &&
           destination.workers < destination.concurrency.connections() &&
           destination.pausing == 0 && connections_ < settings_.connections) {
        ++connections_;
        ++destination.workers;
        ++destination.hungry;
        last_served_ = destination.name;
        workers_.start(work(destination));
    }
}

/// A connection is free: whoever comes after the one who had the last.
void Destinations::start_all_workers() {
    const auto first = destinations_.upper_bound(last_served_);
    for (auto at = first; at != destinations_.end(); ++at) start_workers(*at->second);
    for (auto at = destinations_.begin(); at != first; ++at) start_workers(*at->second);
}

smtp::Task<void> Destinations::work(Destination& destination) {
    co_await send_letters(destination);
    --destination.hungry;
    --destination.workers;
    // Only the limit for all can have kept another destination waiting for this one's connection.
    const bool was_full = is_full();
    --connections_;
    if (destination.is_stranger(steady_clock::now())) {
        forget(destination.name);
    } else if (!was_full) {
        start_workers(destination);
    }
    if (was_full) start_all_workers();
}

smtp::Task<void> Destinations::send_letters(Destination& destination) {
    Connection connection;
    while (co_await letter_waits(destination, connection)) {
        if (!destination.pace.is_free()) co_await wait_for_turn(destination, connection);
        const bool open = co_await is_open(destination, connection);
        if (!open) co_return;
        if (connection.next || !destination.ready.empty())
            co_await send_next(destination, connection);
        if (!connection.usable()) connection.line.reset();
    }
    // Whoever hands in a letter meanwhile must not count on this worker.
    --destination.hungry;
    if (connection.line) co_await connection.line->quit();
    ++destination.hungry;
}

smtp::Task<bool> Destinations::letter_waits(Destination& destination,
                                            const Connection& connection) {
    if (connection.next) co_return true;
    // Another one may wait for the place.
    const bool linger = connection.line && !is_full();
    const auto until = steady_clock::now() + k_linger;
    while (linger && destination.ready.empty() && !closing_) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now());
        if (left <= 0ms) break;
        co_await destination.changed.wait_for(left);
    }
    co_return !destination.ready.empty();
}

/// One waits, however many letters do: who has had its turn lets another one in.
smtp::Task<void> Destinations::wait_for_turn(Destination& destination, Connection& connection) {
    const auto turn = destination.pace.take(steady_clock::now());
    if (connection.line && turn - steady_clock::now() > k_linger) {
        co_await connection.line->quit();
        connection.line.reset();
    }
    ++destination.pausing;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(turn - steady_clock::now());
    if (left > 0ms) co_await smtp::pause(left);
    --destination.pausing;
    start_workers(destination);
}

/// Whether something can be sent over it now, if need be over a new one. Where not, and there is
/// no other, all that is ready has its verdict.
smtp::Task<bool> Destinations::is_open(Destination& destination, Connection& connection) {
    if (connection.next) co_return true;
    if (!connection.usable()) connection.line.reset();
    const bool worn = connection.is_worn(steady_clock::now(), settings_.messages_per_connection);
    if (connection.line && worn) {
        co_await connection.line->quit();
        connection.line.reset();
        // So they take turns where there are more of them than connections.
        if (is_full()) co_return false;
    }
    if (connection.line) co_return true;

    auto outcome = co_await connect(destination);
    connection = {std::move(outcome.connection), 0, steady_clock::now()};
    if (connection.line) {
        destination.concurrency.greeted();
        start_workers(destination);
    } else if (destination.workers > 1) {
        // With other connections open it is this one that was too many.
        destination.concurrency.refused(destination.workers - 1);
    } else {
        destination.concurrency.unreachable(connection.opened);
        destination.why_dead = outcome.failure;
        destination.decide_all(outcome.failure);
    }
    tell_room(destination);
    co_return connection.line != nullptr;
}

smtp::Task<smtp::ConnectOutcome> Destinations::connect(Destination& destination) {
    // A copy: a newer route may replace the list while we wait.
    auto endpoints = destination.endpoints;
    const auto may_be_there = [&, now = steady_clock::now()](const smtp::Endpoint& endpoint) {
        const auto found = destination.unreachable.find(endpoint.address);
        return found == destination.unreachable.end() || found->second <= now;
    };
    std::stable_partition(endpoints.begin(), endpoints.end(), may_be_there);
    std::optional<Verdict> failure;
    for (auto& endpoint : endpoints) {
        endpoint.chunking = !destination.lacks_chunking;
        auto outcome = co_await connector_.connect(endpoint);
        if (outcome.connection) destination.unreachable.erase(endpoint.address);
        // Some lock out who is refused too often.
        if (outcome.connection || outcome.login_failed) co_return outcome;
        destination.unreachable[endpoint.address] =
            steady_clock::now() + shortest_wait(retry_policy(settings_, false));
        // One host that may be back outweighs one that never takes mail.
        if (!failure || failure->kind == Verdict::Kind::failed)
            failure = std::move(outcome.failure);
    }
    smtp::ConnectOutcome none;
    none.failure = std::move(*failure);
    co_return none;
}

smtp::Task<void> Destinations::send_next(Destination& destination, Connection& connection) {
    auto next = std::exchange(connection.next, std::nullopt);
    const auto [letter, message] = next ? std::move(*next) : take(destination);
    --destination.hungry;
    auto find_next = [this, &destination, &connection]() -> std::optional<smtp::Outgoing> {
        if (!may_begin_another(destination, connection)) return std::nullopt;
        connection.next = take(destination);
        return smtp::Outgoing{connection.next->letter->envelope, *connection.next->message};
    };
    auto verdicts = co_await connection.line->send(letter->envelope, *message, find_next);
    ++destination.hungry;
    const bool reused = connection.sent++ > 0;
    // A host that answered nothing was gone before: it would have had the message at a later
    // attempt as well.
    const bool can_have_it = connection.line->was_answered() && message->read_to_the_end();
    const bool lost = is_lost(verdicts, can_have_it);
    const bool misled = connection.line->lacks_chunking();
    if (misled) destination.lacks_chunking = true;
    // Between two messages a host may hang up; that says nothing of the second one.
    if ((misled || (lost && reused)) && !std::exchange(letter->sent_again, true)) {
        letter->being_sent = false;
        destination.ready.push_front(letter);
        co_return;
    }
    if (lost) {
        note_lost(destination, verdicts);
    } else {
        destination.concurrency.answered();
        start_workers(destination);
    }
    tell_room(destination);
    letter->decide(std::move(verdicts));
}

Destinations::Parcel Destinations::take(Destination& destination) {
    auto letter = std::move(destination.ready.front());
    destination.ready.pop_front();
    letter->being_sent = true;
    auto message = letter->open();
    return {std::move(letter), std::move(message)};
}

/// Who has nothing to send goes first: behind another one a letter may wait.
bool Destinations::may_begin_another(const Destination& destination,
                                     const Connection& connection) const {
    return destination.pace.is_free() && destination.ready.size() > destination.hungry &&
           !connection.is_worn(steady_clock::now(), settings_.messages_per_connection - 1);
}

void Destinations::note_lost(Destination& destination, const std::vector<Verdict>& verdicts) {
    const auto now = steady_clock::now();
    destination.concurrency.lost(now);
    if (!destination.concurrency.is_dead(now)) return;
    destination.why_dead = verdicts.front();
    destination.decide_all(destination.why_dead);
}

}  // namespace mailroot::delivery
