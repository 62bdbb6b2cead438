#pragma once

#include "core/result.hpp"

#include <asio/ip/tcp.hpp>

#include <string>

namespace mailroot::smtp {

/// `192.0.2.1:25`, `[::1]:25`. Kind::parse names the text.
Result<asio::ip::tcp::endpoint> parse_endpoint(const std::string& text);

/// The spelling parse_endpoint reads back.
[[nodiscard]] std::string endpoint_text(const asio::ip::tcp::endpoint& endpoint);

/// An acceptor bound there and listening; an IPv6 one takes IPv6 alone. Kind::unavailable where the
/// port is in use, permission where it may not be bound.
Result<asio::ip::tcp::acceptor> listen_at(asio::io_context& context, const std::string& address);

}  // namespace mailroot::smtp
