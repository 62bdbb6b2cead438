#pragma once

#include "core/reply.hpp"
#include "core/tls_facts.hpp"

#include <string>

namespace mailroot {

/// What became of one recipient in one attempt. An outcome, not an error.
struct Verdict {
    enum class Kind {
        delivered,  ///< taken over by somebody who answers for it now
        deferred,   ///< not now: try again by the schedule
        failed,     ///< never: report it to the sender
    };

    Kind kind;
    Reply reply;  ///< what decided it: the peer's words, or ours with the code they would have had
    std::string host;  ///< who said it: `mx1.example.org [192.0.2.1]`; empty where we did
    bool reported_there = false;  ///< whoever took it over offers DSN, and was asked to report
    TlsFacts tls{};               ///< of the connection over which it was said
};

/// The one place where a reply code becomes temporary or permanent (RFC 5321 4.2.1).
constexpr Verdict::Kind kind_of(int code) {
    if (code >= 200 && code < 300) return Verdict::Kind::delivered;
    if (code >= 500 && code < 600) return Verdict::Kind::failed;
    return Verdict::Kind::deferred;  // 4xx, and anything a server should not say here
}
static_assert(kind_of(250) == Verdict::Kind::delivered);
static_assert(kind_of(451) == Verdict::Kind::deferred);
static_assert(kind_of(550) == Verdict::Kind::failed);
static_assert(kind_of(354) == Verdict::Kind::deferred);
static_assert(kind_of(0) == Verdict::Kind::deferred);

}  // namespace mailroot
