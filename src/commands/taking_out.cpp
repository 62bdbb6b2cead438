#include "commands/taking_out.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <ostream>
#include <set>

namespace mailroot::commands {

namespace {

using Json = nlohmann::ordered_json;

/// The entries that are asked for; an error where one is not there.
Result<std::vector<const Takeable*>> selected(const TakingOutOptions& options,
                                              const std::vector<Takeable>& entries) {
    std::set<std::string> missing(options.names.begin(), options.names.end());
    if (missing.empty() && !options.all)
        return fail(Error::Kind::usage, "nothing is selected; name messages, or give --all");
    const auto asked = missing;
    std::vector<const Takeable*> found;
    for (const auto& entry : entries) {
        missing.erase(entry.name);
        if (asked.empty() || asked.contains(entry.name)) found.push_back(&entry);
    }
    if (!missing.empty())
        return fail(Error::Kind::not_found, *missing.begin() + ": no such message");
    return found;
}

struct Taken {
    std::vector<std::string> names;
    std::vector<std::string> in_hand;
};

void print(const Taken& taken, const std::string& done, const TakingOutOptions& options,
           Environment& environment) {
    if (options.json) {
        environment.out << Json{{done, taken.names}, {"inHand", taken.in_hand}}.dump(2) << '\n';
        return;
    }
    for (const auto& name : taken.names) environment.out << name << '\n';
    for (const auto& name : taken.in_hand)
        environment.error << "mailroot: " << name << ": gone, or in another process's hands\n";
}

}  // namespace

void add_taking_out_options(CLI::App& command, TakingOutOptions& options,
                            const std::string& meaning) {
    command.add_option("id", options.names, "messages " + meaning)->type_name("ID");
    command.add_flag("--all", options.all, "all messages there are");
    command.add_flag("--dry-run", options.dry_run, "print their ids, change nothing");
    command.add_flag("--json", options.json, "print JSON");
}

Result<int> take_out(const TakingOutOptions& options, const std::vector<Takeable>& entries,
                     const std::string& done, Environment& environment) {
    const auto found = selected(options, entries);
    if (!found) return tl::unexpected(found.error());
    Taken taken;
    for (const auto* entry : *found) {
        const auto ours = options.dry_run ? true : entry->take();
        if (!ours) {
            print(taken, done, options, environment);
            return tl::unexpected(ours.error());
        }
        (*ours ? taken.names : taken.in_hand).push_back(entry->name);
    }
    print(taken, done, options, environment);
    return taken.in_hand.empty() ? k_done : k_try_later;
}

}  // namespace mailroot::commands
