#pragma once

#include "core/event_log.hpp"

#include <memory>

namespace mailroot::observe {

/// How much is said on stderr.
enum class Loudness {
    quiet,    ///< what an administrator must look at
    normal,   ///< and what becomes of each message
    verbose,  ///< and each SMTP session
};

/// Events as lines for people on stderr: `mailroot: <id>: delivered a@b via mx.example: 250 ok`.
std::unique_ptr<EventLog> make_diagnostic_log(Loudness loudness);

}  // namespace mailroot::observe
