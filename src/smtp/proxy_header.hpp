#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mailroot::smtp {

/// What a proxy says before the client's first octet: for whom it speaks (HAProxy's
/// proxy-protocol.txt, versions 1 and 2). Fed octet by octet, so that nothing behind it is taken.
class ProxyHeader {
 public:
    enum class State { incomplete, whole, malformed };

    /// Octets of the header; none may follow its end.
    void feed(std::string_view octets);

    [[nodiscard]] State state() const { return state_; }
    /// What is wrong with it.
    [[nodiscard]] const std::string& reason() const { return reason_; }

    struct Source {
        std::string address;  ///< `192.0.2.1`, `2001:db8::1`
        std::uint16_t port = 0;
    };
    /// The client; nothing where the proxy speaks for itself, or does not know.
    [[nodiscard]] const std::optional<Source>& source() const { return source_; }

 private:
    void look();
    void read_text();
    void read_binary();
    void refuse(std::string reason);

    std::string octets_;
    State state_ = State::incomplete;
    std::string reason_;
    std::optional<Source> source_;
};

}  // namespace mailroot::smtp
