#include "message/idn.hpp"

#include "message/utf8.hpp"

#include <idn2.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace mailroot::message {

namespace {

constexpr std::size_t k_max_domain = 255;  // RFC 5321 4.5.3.1.2

/// One label. libidn2 is asked about those beyond ASCII alone: it would refuse names that DNS has,
/// such as `r3---sn` and `_25`.
Result<std::string> ascii_label(std::string_view label) {
    if (is_ascii(label)) return std::string(label);
    const std::string text(label);
    if (text.find('\0') != std::string::npos) return fail(Error::Kind::parse, "a NUL in a label");
    std::uint8_t* ascii = nullptr;
    const int status = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(text.c_str()), &ascii,
                                      IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    const std::unique_ptr<std::uint8_t, decltype(&idn2_free)> owner(ascii, idn2_free);
    if (status != IDN2_OK) return fail(Error::Kind::parse, idn2_strerror(status));
    return std::string(reinterpret_cast<const char*>(ascii));
}

}  // namespace

Result<std::string> ascii_domain(std::string_view domain) {
    if (is_ascii(domain)) return std::string(domain);
    std::string ascii;
    for (auto rest = domain;;) {
        const std::size_t length = std::min(rest.find('.'), rest.size());
        auto label = ascii_label(rest.substr(0, length));
        if (!label) return fail(std::move(label), "domain '" + std::string(domain) + "'");
        ascii += *label;
        if (length == rest.size()) break;
        ascii += '.';
        rest.remove_prefix(length + 1);
    }
    if (ascii.size() > k_max_domain) {
        return fail(Error::Kind::parse, "domain longer than 255 octets as A-labels");
    }
    return ascii;
}

}  // namespace mailroot::message
