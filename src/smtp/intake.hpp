#pragma once

#include "core/envelope.hpp"
#include "core/peer.hpp"
#include "core/reply.hpp"
#include "smtp/client.hpp"
#include "smtp/loop.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mailroot::smtp {

/// A message being received. Destroyed before commit() it leaves nothing behind.
class IncomingMessage {
 public:
    virtual ~IncomingMessage() = default;

    /// Takes the next octets: canonical, CRLF, dots undone; with BODY=BINARYMIME as they came.
    /// Nothing is returned: what goes wrong is kept and told by commit(), for SMTP has no word
    /// before the end of the data.
    virtual Task<void> append(std::string octets) = 0;

    /// Makes the message ours. A 250 means that it is on disk, file and folder synced; everything
    /// else that nothing of it remains.
    virtual Task<Reply> commit() = 0;
};

/// Where the SMTP server hands messages over, and who decides what is taken. `smtp` knows nothing
/// of folders; `delivery` implements this. A Peer or Envelope that is referred to stays where it is
/// until the task is done.
class Intake {
 public:
    virtual ~Intake() = default;

    /// Finds out about a client what is asked for, before it is greeted: Peer::name and
    /// Peer::blocklist. Gives the Peer back with it.
    virtual Task<Peer> examine(Peer client) = 0;

    /// The reply to `MAIL FROM:`, with its parameters: 250 2.1.0, 452 4.3.1 where the disk has no
    /// room. `announced` is what SIZE said, in octets; 0: nothing.
    virtual Task<Reply> check_sender(const Peer& client, const Envelope& envelope,
                                     std::uint64_t announced) = 0;

    /// The reply to `RCPT TO:`: 250 2.1.5, 550 5.7.1 where this client may not relay, 550 5.1.1
    /// where nobody is called so.
    virtual Task<Reply> check_recipient(const Peer& client, const Envelope& so_far,
                                        const Recipient& recipient) = 0;

    /// Called for DATA, before 354, and for the first BDAT. Null where nothing can be stored now:
    /// 452 4.3.1 is answered.
    virtual std::unique_ptr<IncomingMessage> begin(const Peer& client, Envelope envelope) = 0;
};

/// Who sends waiting mail when its host asks for it.
class QueueTrigger {
 public:
    virtual ~QueueTrigger() = default;

    /// The reply to `ETRN node` (RFC 1985 5.3).
    virtual Task<Reply> start_queue(const Peer& client, std::string node) = 0;

    /// The reply to `ATRN domains` of an authenticated client (RFC 2645 5.2.1): a 2xx turns the
    /// connection around. Without domains all are meant that are the user's.
    virtual Task<Reply> check_turn(const Peer& client, std::vector<std::string> domains) = 0;

    /// Sends what waits for those domains over a connection that was turned around.
    virtual Task<void> turn(const Peer& client, std::vector<std::string> domains,
                            std::unique_ptr<ClientConnection> connection) = 0;
};

}  // namespace mailroot::smtp
