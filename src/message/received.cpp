#include "message/received.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace mailroot::message {

namespace {

constexpr std::size_t k_max_helo = 255;  // RFC 5321 4.5.3.1.2

/// What may stand in the name a client gives itself; the rest could end the field or forge a part
/// of it.
bool is_host_octet(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-._:[]").find(c) != std::string_view::npos;
}

std::string host_name(std::string_view helo) {
    if (helo.empty()) return "unknown";
    std::string name(helo.substr(0, k_max_helo));
    std::ranges::replace_if(
        name, [](char c) { return !is_host_octet(c); }, '?');
    return name;
}

/// RFC 5321 4.1.3. A zone (`fe80::1%eth0`) means nothing to anybody else.
std::string address_literal(std::string_view address) {
    const bool ipv6 = address.find(':') != std::string_view::npos;
    return (ipv6 ? "[IPv6:" : "[") + std::string(address.substr(0, address.find('%'))) + ']';
}

/// ` by HOST with PROTOCOL id ID;`, the fold of IIS and the date.
std::string received_end(std::string_view by, std::string_view protocol, const MessageId& id,
                         TimePoint when) {
    std::string text = " by ";
    text.append(by).append(" with ").append(protocol).append(" id ").append(id.text());
    return text.append(";\r\n\t ").append(date_text(when)).append("\r\n");
}

}  // namespace

std::string date_text(TimePoint time) {
    // Not strftime, whose names are those of the locale.
    constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds =
        std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    std::tm local{};
    localtime_r(&seconds, &local);
    const long minutes = std::labs(local.tm_gmtoff) / 60;
    char text[64];
    std::snprintf(text, sizeof text, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld",
                  days.at(static_cast<std::size_t>(local.tm_wday)), local.tm_mday,
                  months.at(static_cast<std::size_t>(local.tm_mon)), local.tm_year + 1900,
                  local.tm_hour, local.tm_min, local.tm_sec, local.tm_gmtoff < 0 ? '-' : '+',
                  minutes / 60, minutes % 60);
    return text;
}

std::string received_field(const ReceivedFrom& from, std::string_view by, const MessageId& id,
                           TimePoint when) {
    std::string field = "Received: from " + host_name(from.helo) + " (";
    if (!from.name.empty()) field += host_name(from.name) + ' ';
    field += address_literal(from.address) + ')';
    if (!from.tls_protocol.empty()) {
        field += "\r\n\t (using " + from.tls_protocol + " with cipher " + from.tls_cipher + ')';
    }
    return field + received_end(by, from.protocol, id, when);
}

std::string received_from_pickup(std::string_view by, const MessageId& id, TimePoint when) {
    return "Received: from mail pickup service" + received_end(by, "mailroot", id, when);
}

std::string received_locally(std::string_view by, const MessageId& id, TimePoint when) {
    return "Received:" + received_end(by, "mailroot", id, when);
}

std::string message_id_field(const MessageId& id, std::string_view host) {
    return "Message-ID: <" + id.text() + '@' + std::string(host) + ">\r\n";
}

std::string date_field(TimePoint when) {
    return "Date: " + date_text(when) + "\r\n";
}

}  // namespace mailroot::message
