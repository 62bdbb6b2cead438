#pragma once

#include "config/settings.hpp"
#include "core/envelope.hpp"
#include "core/verdict.hpp"
#include "delivery/concurrency.hpp"
#include "delivery/router.hpp"
#include "smtp/client.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// A message source that knows whether it was read to its end: before that no final dot can have
/// been sent, and the message may go again over another connection without a copy.
class OutgoingMessage : public smtp::MessageSource {
 public:
    [[nodiscard]] virtual bool read_to_the_end() const = 0;
};

/// Hands messages to other hosts. Each destination has a ready queue and connections of its own: as
/// many as it bears (Concurrency), at most `delivery.connectionsPerDomain`, in all at most
/// `delivery.connections`. A connection takes up to `delivery.messagesPerConnection` messages, for
/// a limited time, and stays open for a moment after the last. Where nobody can be reached, one
/// connection is tried, and until it is time for the first retry all has its verdict.
class Destinations {
 public:
    /// Opens the message for one more reading.
    using OpenMessage = std::function<std::unique_ptr<OutgoingMessage>()>;

    using Time = Concurrency::Time;

    /// What a destination has room for.
    struct Room {
        std::size_t messages = k_room_of_connection;  ///< in hand at once, so that none waits long
        Time dead_until{};  ///< until then its messages have their verdict
        friend bool operator==(const Room&, const Room&) = default;
    };
    /// One is sent, one is begun behind it, one is at hand.
    static constexpr std::size_t k_room_of_connection = 3;

    /// What is referred to must outlive this; wait for close() before it is destroyed.
    Destinations(smtp::Loop& loop, smtp::Connector& connector,
                 const config::Settings::Delivery& settings);
    ~Destinations();

    /// Calls `changed` with the destination's name when its room is another one. One that was
    /// never told of is a stranger; so is one that is told to be.
    void on_room(std::function<void(const std::string&, Room)> changed);

    /// One verdict for each recipient of `envelope`. `route` is remote.
    smtp::Task<std::vector<Verdict>> deliver(Route route, Envelope envelope, OpenMessage open);

    /// The same; nothing where no connection is free for it within `patience`.
    smtp::Task<std::optional<std::vector<Verdict>>> deliver_soon(
        Route route, Envelope envelope, OpenMessage open, std::chrono::milliseconds patience);

    /// Waits until all that was handed in is decided, and says goodbye on all connections.
    smtp::Task<void> close();

 private:
    struct Letter;
    struct Destination;
    struct Parcel;
    struct Connection;

    std::shared_ptr<Letter> hand_in(Route route, Envelope envelope, OpenMessage open);
    Destination& destination_of(Route& route);
    void forget_strangers();
    void forget(std::string name);
    void tell_room(Destination& destination);
    [[nodiscard]] bool is_full() const { return connections_ >= settings_.connections; }
    void start_workers(Destination& destination);
    smtp::Task<void> wait_for_turn(Destination& destination, Connection& connection);
    void start_all_workers();
    smtp::Task<void> work(Destination& destination);
    smtp::Task<void> send_letters(Destination& destination);
    smtp::Task<bool> letter_waits(Destination& destination, const Connection& connection);
    smtp::Task<bool> is_open(Destination& destination, Connection& connection);
    smtp::Task<smtp::ConnectOutcome> connect(Destination& destination);
    smtp::Task<void> send_next(Destination& destination, Connection& connection);
    Parcel take(Destination& destination);
    [[nodiscard]] bool may_begin_another(const Destination& destination,
                                         const Connection& connection) const;
    void note_lost(Destination& destination, const std::vector<Verdict>& verdicts);

    smtp::Loop& loop_;
    smtp::Connector& connector_;
    const config::Settings::Delivery& settings_;
    smtp::TaskGroup workers_;
    std::size_t connections_ = 0;  ///< one for each worker of all destinations
    std::map<std::string, std::unique_ptr<Destination>> destinations_;
    std::string last_served_;    ///< of those that waited for a connection of another's
    std::size_t forget_at_ = 0;  ///< destinations, when those are looked for that may go
    std::function<void(const std::string&, Room)> room_changed_ = [](const auto&, Room) {};
    bool closing_ = false;
};

}  // namespace mailroot::delivery
