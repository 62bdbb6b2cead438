#pragma once

#include "core/envelope.hpp"
#include "core/reply.hpp"
#include "smtp/loop.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace mailroot::smtp {

/// The client at the other end of a session.
struct Peer {
    std::string address;  ///< `192.0.2.1`, `::1`; an IPv4-mapped address as its IPv4 one
    std::uint16_t port = 0;
    bool loopback = false;  ///< 127.0.0.0/8 or ::1
    std::string helo;       ///< what it called itself; empty before HELO
    bool extended = false;  ///< it said EHLO
};

/// A message being received. Destroyed before commit() it leaves nothing behind.
class IncomingMessage {
 public:
    virtual ~IncomingMessage() = default;

    /// Takes the next octets: canonical, CRLF, dots undone. Nothing is returned: what goes wrong is
    /// kept and told by commit(), for SMTP has no word before the end of the data.
    virtual Task<void> append(std::string octets) = 0;

    /// Makes the message ours. A 250 means that it is on disk, file and folder synced; everything
    /// else that nothing of it remains.
    virtual Task<Reply> commit() = 0;
};

/// Where the SMTP server hands messages over, and who decides what is taken. `smtp` knows nothing
/// of folders; `delivery` implements this.
class Intake {
 public:
    virtual ~Intake() = default;

    /// The reply to `RCPT TO:<recipient>`: 250 2.1.5, 550 5.7.1 where this peer may not relay.
    virtual Reply check_recipient(const Peer& peer, const Envelope& so_far,
                                  const Address& recipient) = 0;

    /// Called for DATA, before 354.
    virtual std::unique_ptr<IncomingMessage> begin(const Peer& peer, Envelope envelope) = 0;
};

}  // namespace mailroot::smtp
