#include "smtp/admission.hpp"

#include <asio/ip/address.hpp>

#include <algorithm>

namespace mailroot::smtp {

namespace {

constexpr std::chrono::minutes k_window{1};

/// The client that an address belongs to.
std::string client_of(std::string_view text) {
    asio::error_code error;
    const auto address = asio::ip::make_address(std::string(text), error);
    if (error || !address.is_v6()) return std::string(text);
    auto bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + bytes.size() / 2, bytes.end(), 0);
    return asio::ip::make_address_v6(bytes).to_string();
}

}  // namespace

bool Admission::Window::take(std::uint64_t most, SteadyPoint now) {
    if (now - began >= k_window) *this = {now, 0};
    if (most != 0 && count >= most) return false;
    ++count;
    return true;
}

std::optional<Reply> Admission::admit(std::string_view address, SteadyPoint now) {
    const bool allowed = options_.allow.empty() || options_.allow.contains(address);
    if (!allowed || options_.deny.contains(address)) {
        return reply(554, "5.7.1", "Access denied");
    }
    forget_old(now);
    auto& client = clients_[client_of(address)];
    client.seen = now;
    if (!options_.exempt.contains(address)) {
        if (options_.connections_per_ip != 0 && client.connections >= options_.connections_per_ip)
            return reply(421, "4.7.0", "Too many connections from your address");
        if (!client.new_connections.take(options_.connections_per_minute, now))
            return reply(421, "4.7.0", "Too many new connections from your address, slow down");
    }
    ++client.connections;
    return std::nullopt;
}

void Admission::leave(std::string_view address) {
    const auto client = clients_.find(client_of(address));
    if (client != clients_.end()) --client->second.connections;
}

std::optional<Reply> Admission::recipient(std::string_view address, SteadyPoint now) {
    if (options_.recipients_per_minute == 0 || options_.exempt.contains(address)) {
        return std::nullopt;
    }
    auto& client = clients_[client_of(address)];
    client.seen = now;
    if (client.recipients.take(options_.recipients_per_minute, now)) return std::nullopt;
    return reply(450, "4.7.1", "Too many recipients from your address, slow down");
}

/// Once a window: then no more are looked at than came meanwhile, and those that stay.
void Admission::forget_old(SteadyPoint now) {
    if (now - forgot_ < k_window) return;
    forgot_ = now;
    std::erase_if(clients_, [now](const auto& entry) {
        return entry.second.connections == 0 && now - entry.second.seen >= k_window;
    });
}

}  // namespace mailroot::smtp
