#include "os/host.hpp"

#include <array>
#include <memory>
#include <netdb.h>
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

}  // namespace

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
