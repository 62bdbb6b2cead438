#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/taking_out.hpp"
#include "folders/badmail.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

namespace mailroot::commands {

namespace {

Result<int> requeue(const TakingOutOptions& options, Environment& environment) {
    const auto mailroot = open_mailroot(environment, folders::IfMissing::refuse);
    if (!mailroot) return tl::unexpected(mailroot.error());
    const folders::Badmail badmail(*mailroot);
    std::vector<Takeable> entries;
    MAILROOT_TRY(badmail.scan([&](const folders::Badmail::Entry& entry) {
        entries.push_back({entry.name, [&badmail, entry] { return badmail.requeue(entry.name); }});
    }));
    std::ranges::sort(entries, {}, &Takeable::name);
    return take_out(options, entries, "requeued", environment);
}

}  // namespace

void add_badmail_requeue(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<TakingOutOptions>();
    add_taking_out_options(command, *options, "to send again");
    on_chosen(command, environment, options, requeue);
}

}  // namespace mailroot::commands
