#pragma once

#include "smtp/client.hpp"
#include "smtp/loop.hpp"
#include "smtp/stream.hpp"

#include <memory>
#include <string>

namespace mailroot::smtp {

/// Makes us the client on a connection that was opened to us (ATRN, RFC 2645 5.2.2): awaits the
/// greeting of the other end and says EHLO as `hostname`. `received` is what the other end said
/// already; `host` names it in verdicts, `tls` says how the connection is encrypted.
Task<ConnectOutcome> turn_around(std::unique_ptr<Stream> stream, std::string received,
                                 std::string hostname, ClientTimeouts timeouts, std::string host,
                                 TlsFacts tls);

}  // namespace mailroot::smtp
