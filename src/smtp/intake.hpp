#pragma once

#include "core/envelope.hpp"
#include "core/peer.hpp"
#include "core/reply.hpp"
#include "smtp/loop.hpp"

#include <memory>
#include <string>

namespace mailroot::smtp {

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

    /// Called for DATA, before 354. Null where nothing can be stored now: 452 4.3.1 is answered.
    virtual std::unique_ptr<IncomingMessage> begin(const Peer& peer, Envelope envelope) = 0;
};

}  // namespace mailroot::smtp
