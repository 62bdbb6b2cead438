#pragma once

#include "commands/command.hpp"

#include <string>
#include <vector>

namespace mailroot::commands {

struct MxLookupOptions {
    std::vector<std::string> names;  ///< domains, addresses; `-`: a line each from standard input
    bool json = false;
};

/// Prints where mail for each name would go. 65 where one is no name, 68 where one has no mail
/// host, 75 where name servers could not say, in this order.
Result<int> run_mx_lookup(const MxLookupOptions& options, Environment& environment);

}  // namespace mailroot::commands
