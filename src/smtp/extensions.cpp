#include "smtp/extensions.hpp"

#include "core/address.hpp"

#include <charconv>
#include <string_view>

namespace mailroot::smtp {

namespace {

void take_size(Extensions& offered, std::string_view limit) {
    offered.size = true;
    const auto* const end = limit.data() + limit.size();
    std::uint64_t octets = 0;
    const auto [stop, error] = std::from_chars(limit.data(), end, octets);
    if (error == std::errc() && stop == end) offered.size_limit = octets;
}

void take_line(Extensions& offered, std::string_view line) {
    const auto space = line.find(' ');
    const auto keyword = line.substr(0, space);
    auto rest = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    while (rest.ends_with(' ')) rest.remove_suffix(1);
    if (equal_ignoring_case(keyword, "PIPELINING")) offered.pipelining = true;
    if (equal_ignoring_case(keyword, "8BITMIME")) offered.eight_bit_mime = true;
    if (equal_ignoring_case(keyword, "DSN")) offered.dsn = true;
    if (equal_ignoring_case(keyword, "CHUNKING")) offered.chunking = true;
    if (equal_ignoring_case(keyword, "BINARYMIME")) offered.binary_mime = true;
    if (equal_ignoring_case(keyword, "SMTPUTF8")) offered.smtp_utf8 = true;
    if (equal_ignoring_case(keyword, "SIZE")) take_size(offered, rest);
}

}  // namespace

Extensions read_extensions(const Reply& ehlo) {
    Extensions offered;
    for (std::size_t i = 1; i < ehlo.lines.size(); ++i) take_line(offered, ehlo.lines[i]);
    return offered;
}

}  // namespace mailroot::smtp
