#include "smtp/listen_address.hpp"

#include "core/address.hpp"

#include <asio/ip/v6_only.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mailroot::smtp {

namespace {

using asio::ip::tcp;

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    if (stop != end || error != std::errc{}) return std::nullopt;
    return port;
}

/// Brackets are for IPv6, and IPv6 is in brackets.
asio::ip::address parse_host(const std::string& text, asio::error_code& error) {
    const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
    if (!bracketed) return asio::ip::make_address_v4(text, error);
    return asio::ip::make_address_v6(text.substr(1, text.size() - 2), error);
}

void open(tcp::acceptor& acceptor, const tcp::endpoint& endpoint, asio::error_code& error) {
    const bool v6 = endpoint.protocol() == tcp::v6();
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && v6) acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
}

}  // namespace

Result<tcp::endpoint> parse_endpoint(const std::string& text) {
    const std::size_t colon = std::min(text.rfind(':'), text.size());
    const auto port = parse_port(std::string_view(text).substr(std::min(colon + 1, text.size())));
    asio::error_code error;
    const auto host = parse_host(text.substr(0, colon), error);
    if (error || !port) {
        return fail(Error::Kind::parse,
                    "'" + text + "' is no address and port such as 0.0.0.0:25 or [::]:25");
    }
    return tcp::endpoint(host, *port);
}

std::string endpoint_text(const tcp::endpoint& endpoint) {
    const auto address = endpoint.address().to_string();
    const auto host = endpoint.address().is_v6() ? '[' + address + ']' : address;
    return host + ':' + std::to_string(endpoint.port());
}

Result<tcp::acceptor> listen_at(asio::io_context& context, const std::string& address) {
    const auto endpoint = parse_endpoint(address);
    if (!endpoint) return tl::unexpected(endpoint.error());
    tcp::acceptor acceptor(context);
    asio::error_code error;
    open(acceptor, *endpoint, error);
    if (!error) return acceptor;
    const auto kind = error == asio::error::access_denied ? Error::Kind::permission
                      : error == asio::error::address_family_not_supported
                          ? Error::Kind::not_found
                          : Error::Kind::unavailable;
    return fail(kind, address + ": " + lower_case(error.message()));
}

}  // namespace mailroot::smtp
