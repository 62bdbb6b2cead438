/// The PROXY header, octet by octet as the server reads it.

#include "smtp/proxy_header.hpp"

#include "require.hpp"

#include <asio/ip/address.hpp>

#include <cstdint>
#include <string_view>

using mailroot::smtp::ProxyHeader;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view octets(reinterpret_cast<const char*>(data), size);
    ProxyHeader header;
    for (std::size_t i = 0; i < size && header.state() == ProxyHeader::State::incomplete; ++i) {
        header.feed(octets.substr(i, 1));
    }
    if (header.state() == ProxyHeader::State::whole && header.source()) {
        asio::error_code error;
        asio::ip::make_address(header.source()->address, error);
        require(!error, "what a proxy names is an address");
    }
    return 0;
}
