#include "os/host.hpp"

#include <arpa/inet.h>
#include <array>
#include <ifaddrs.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace mailroot::os {

namespace {

/// What the resolver calls the host, or nothing.
std::string canonical_name(const std::string& host) {
    addrinfo hints{};
    hints.ai_flags = AI_CANONNAME;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> held(found, &::freeaddrinfo);
    return found->ai_canonname == nullptr ? std::string() : std::string(found->ai_canonname);
}

std::string address_text(const sockaddr* address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address != nullptr && address->sa_family == AF_INET) {
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text,
                    sizeof text);
    } else if (address != nullptr && address->sa_family == AF_INET6) {
        ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text,
                    sizeof text);
    }
    return text;
}

}  // namespace

std::vector<std::string> machine_addresses() {
    ifaddrs* found = nullptr;
    if (::getifaddrs(&found) != 0) return {};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> held(found, &::freeifaddrs);
    std::vector<std::string> addresses;
    for (const auto* entry = found; entry != nullptr; entry = entry->ifa_next) {
        auto text = address_text(entry->ifa_addr);
        if (!text.empty()) addresses.push_back(std::move(text));
    }
    return addresses;
}

std::string machine_name() {
    std::array<char, 256> plain{};
    if (::gethostname(plain.data(), plain.size() - 1) != 0 || plain[0] == '\0') return "localhost";
    const std::string name = plain.data();
    if (name.find('.') != std::string::npos) return name;
    const auto full = canonical_name(name);
    // A name without a dot tells no more than the plain one; `localhost.localdomain` tells less.
    const bool telling = full.find('.') != std::string::npos && !full.starts_with("localhost");
    return telling ? full : name;
}

}  // namespace mailroot::os
