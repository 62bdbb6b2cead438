#pragma once

#include "delivery/context.hpp"
#include "smtp/intake.hpp"

#include <cstdint>
#include <functional>
#include <memory>

namespace mailroot::delivery {

/// Told of a message that was stored: its octets, and whether it went to Drop.
using Stored = std::function<void(std::uint64_t octets, bool dropped)>;

/// A message that comes in over SMTP. Where all its recipients are local, and no success is to be
/// reported, it becomes a file of Drop at once; else one of Queue, and Context::accepted is called.
/// It gets its Received field and, where it is submitted, the fields it lacks (RFC 6409 8).
/// `context` must outlive it.
std::unique_ptr<smtp::IncomingMessage> make_incoming_file(const Context& context,
                                                          const Peer& client, Envelope envelope,
                                                          Stored stored);

}  // namespace mailroot::delivery
