#pragma once

#include <cstdint>
#include <string_view>

/// The forms a text in the configuration may have. They say whether a text can be meant; whether an
/// address can be bound or a server answers is found out by those who use it.
namespace mailroot::config {

/// `mx.example.com`, a single label too.
[[nodiscard]] bool is_domain(std::string_view text);

/// `example.com`, `*.example.com`; UTF-8 labels too.
[[nodiscard]] bool is_domain_pattern(std::string_view text);

/// `0.0.0.0:25`, `[::]:25`; port 0 takes a free one.
[[nodiscard]] bool is_listen_address(std::string_view text);

/// `192.0.2.1`, `2001:db8::1`, `192.0.2.1:5353`, `[2001:db8::1]:5353`.
[[nodiscard]] bool is_server_address(std::string_view text);

/// What an entry of `listen` says: `0.0.0.0:25`, `[::]:465 implicit`.
struct ListenEntry {
    std::string_view address;
    std::string_view tls;  ///< `starttls`, `required`, `implicit` or `none`; `starttls` if not said
};
[[nodiscard]] ListenEntry listen_entry(std::string_view text);

/// `relay.example.com`, `relay.example.com:587`, `[192.0.2.1]:25`, `[2001:db8::1]`.
[[nodiscard]] bool is_smart_host(std::string_view text);

/// What a smart host says.
struct SmartHost {
    std::string_view host;  ///< a name, or an address in brackets
    std::uint16_t port;     ///< 0: not said
};
[[nodiscard]] SmartHost smart_host(std::string_view text);

/// Where a smart host may be set to none.
[[nodiscard]] bool is_smart_host_or_empty(std::string_view text);
inline constexpr std::string_view k_smart_host_form =
    "a host such as \"relay.example.com\", \"relay.example.com:587\" or \"[192.0.2.1]\"";

/// `none`, `may`, `encrypt` or `verify`.
[[nodiscard]] bool is_tls_policy(std::string_view text);
inline constexpr std::string_view k_tls_policy_form =
    "\"none\", \"may\", \"encrypt\" or \"verify\"";

/// `https://login.example.com/token`, without a user or blanks.
[[nodiscard]] bool is_https_url(std::string_view text);

/// `192.0.2.1`, `2001:db8::1`.
[[nodiscard]] bool is_address(std::string_view text);

/// `socks5://proxy.example.com:1080`, `socks5://[2001:db8::1]:1080`.
[[nodiscard]] bool is_proxy(std::string_view text);

/// `192.0.2.0/24`, `2001:db8::/32`, or an address.
[[nodiscard]] bool is_network(std::string_view text);

}  // namespace mailroot::config
