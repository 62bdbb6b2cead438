#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/taking_out.hpp"
#include "folders/queue.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

namespace mailroot::commands {

namespace {

Result<int> remove(const TakingOutOptions& options, Environment& environment) {
    const auto mailroot = open_mailroot(environment, folders::IfMissing::refuse);
    if (!mailroot) return tl::unexpected(mailroot.error());
    const folders::Queue queue(*mailroot);
    std::vector<Takeable> entries;
    MAILROOT_TRY(queue.for_each(
        [&](const folders::Queue::Entry& entry) {
            entries.push_back({entry.id.text(), [&queue, entry] { return queue.remove(entry); }});
        },
        [](const std::string&) {}));
    std::ranges::sort(entries, {}, &Takeable::name);
    auto removed = take_out(options, entries, "removed", environment);
    // Else a power cut brings back what was reported as removed.
    if (removed && !options.dry_run) MAILROOT_TRY(mailroot->files.sync(mailroot->queue));
    return removed;
}

}  // namespace

void add_queue_remove(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<TakingOutOptions>();
    add_taking_out_options(command, *options, "to take out");
    on_chosen(command, environment, options, remove);
}

}  // namespace mailroot::commands
