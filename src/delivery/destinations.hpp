#pragma once

#include "config/settings.hpp"
#include "core/envelope.hpp"
#include "core/verdict.hpp"
#include "delivery/router.hpp"
#include "smtp/client.hpp"
#include "smtp/loop.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mailroot::delivery {

/// A message source that knows whether it was read to its end: before that no final dot can have
/// been sent, and the message may go again over another connection without a copy.
class OutgoingMessage : public smtp::MessageSource {
 public:
    [[nodiscard]] virtual bool read_to_the_end() const = 0;
};

/// Hands messages to other hosts. Each destination has a ready queue and connections of its own, at
/// most `delivery.connectionsPerDomain`, in all at most `delivery.connections`; a connection takes
/// up to `delivery.messagesPerConnection` messages and stays open for a moment after the last.
class Destinations {
 public:
    /// Opens the message for one more reading.
    using OpenMessage = std::function<std::unique_ptr<OutgoingMessage>()>;

    /// What is referred to must outlive this; wait for close() before it is destroyed.
    Destinations(smtp::Loop& loop, smtp::Connector& connector,
                 const config::Settings::Delivery& settings);
    ~Destinations();

    /// One verdict for each recipient of `envelope`. `route` is remote.
    smtp::Task<std::vector<Verdict>> deliver(Route route, Envelope envelope, OpenMessage open);

    /// Waits until all that was handed in is decided, and says goodbye on all connections.
    smtp::Task<void> close();

 private:
    struct Letter;
    struct Destination;

    void start_workers(Destination& destination);
    void start_all_workers();
    smtp::Task<void> work(Destination& destination);
    smtp::Task<void> send_letters(Destination& destination);
    smtp::Task<bool> letter_waits(Destination& destination, bool linger);
    smtp::Task<smtp::ConnectOutcome> connect(const Destination& destination);
    smtp::Task<void> send_next(Destination& destination, smtp::ClientConnection& connection,
                               bool reused);

    smtp::Loop& loop_;
    smtp::Connector& connector_;
    const config::Settings::Delivery& settings_;
    smtp::TaskGroup workers_;
    std::size_t connections_ = 0;  ///< one for each worker of all destinations
    std::map<std::string, std::unique_ptr<Destination>> destinations_;
    bool closing_ = false;
};

}  // namespace mailroot::delivery
