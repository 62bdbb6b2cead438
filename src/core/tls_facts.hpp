#pragma once

#include <string>

namespace mailroot {

/// How a connection is encrypted.
struct TlsFacts {
    std::string protocol{};     ///< `TLSv1.3`; empty: it is not
    std::string cipher{};       ///< `TLS_AES_256_GCM_SHA384`
    std::string certificate{};  ///< the other end's: `verified`, or why not; empty: it has none

    /// `TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified`; empty where it is not encrypted.
    [[nodiscard]] std::string text() const {
        if (protocol.empty()) return {};
        const auto session = protocol + ' ' + cipher;
        return certificate.empty() ? session : session + ", certificate " + certificate;
    }
};

}  // namespace mailroot
