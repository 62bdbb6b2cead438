#pragma once

#include "commands/command.hpp"
#include "core/event_log.hpp"
#include "delivery/queue_pass.hpp"

#include <string>
#include <vector>

namespace mailroot::commands {

/// Prints what a pass over Queue or Pickup did, as text or as JSON:
///     messages    attempted
///     delivered, deferred, failed    recipients
///     badmail     files that went to Badmail
///     left        names of pickup files that stayed, with pickup-drain
/// and what could not be used to stderr. Gives the exit code: 77 a file may not be read, 74 disk,
/// 65 something went to Badmail, 75 something was deferred or left, else 0, in this order.
int report_pass(const delivery::PassResult& result, const std::vector<std::string>& left, bool json,
                Environment& environment);

/// Prints what a pass would attempt (`--dry-run`), one name a line or as JSON `{"wouldAttempt":
/// […]}`.
void report_plan(const std::vector<std::string>& names, bool json, Environment& environment);

}  // namespace mailroot::commands
