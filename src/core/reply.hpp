#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mailroot {

/// One SMTP reply (RFC 5321 4.2), read from a server or about to be sent to a client.
struct Reply {
    int code = 0;                    ///< 220, 250, 550 ...; 0 where the peer said nothing
    std::string enhanced_code;       ///< `5.1.1` (RFC 3463), empty where there is none
    std::vector<std::string> lines;  ///< the text of each line, without code, separator and CRLF

    /// `550 5.1.1 no such user`; the lines of a long reply joined by spaces. For logs and reports.
    [[nodiscard]] std::string text() const;

    /// The octets on the wire, every line with its code and, where present, the enhanced code.
    [[nodiscard]] std::string wire() const;
};

/// A reply of one line.
[[nodiscard]] Reply reply(int code, std::string_view enhanced_code, std::string text);

}  // namespace mailroot
