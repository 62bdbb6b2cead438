#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/pass_report.hpp"
#include "core/quantity.hpp"
#include "delivery/pickup_pass.hpp"
#include "folders/pickup.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

namespace mailroot::commands {

namespace {

struct PickupDrainOptions {
    std::string wait;
    bool dry_run = false;
    bool json = false;
};

Result<int> drain(const PickupDrainOptions& options, Environment& environment) {
    const auto settings = settings_of(environment);
    if (!settings) return tl::unexpected(settings.error());
    auto wait = settings->pickup.settle;
    if (!options.wait.empty()) {
        const auto given = parse_duration(options.wait);
        if (!given) return fail(Error::Kind::usage, "--wait: " + given.error().what);
        wait = *given;
    }
    auto mailroot = open_mailroot(environment, folders::IfMissing::refuse);
    if (!mailroot) return fail(std::move(mailroot));
    if (options.dry_run) {
        std::vector<std::string> names;
        MAILROOT_TRY(folders::Pickup(*mailroot).scan(
            [&](const folders::Pickup::Entry& entry) { names.push_back(entry.name); }));
        std::ranges::sort(names);
        report_plan(names, options.json, environment);
        return k_done;
    }
    const auto log = make_log(environment);
    smtp::Loop loop(1);
    auto engine =
        Engine::make(environment, loop, *settings, *log, std::move(*mailroot), settings->listen);
    if (!engine) return fail(std::move(engine));
    delivery::PickupPassResult result;
    auto pass = [&]() -> smtp::Task<void> {
        result = co_await delivery::run_pickup_pass((*engine)->context, *(*engine)->courier,
                                                    *(*engine)->pickup_courier, wait);
    };
    (*engine)->run(pass());
    return report_pass(result, result.left, options.json, environment);
}

}  // namespace

void add_pickup_drain(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<PickupDrainOptions>();
    command
        .add_option("--wait", options->wait,
                    "how long a file that may still be written has to stay as it is")
        ->type_name("DURATION");
    command.add_flag("--dry-run", options->dry_run, "print the files' names, send nothing");
    command.add_flag("--json", options->json, "print JSON");
    on_chosen(command, environment, options, drain);
}

}  // namespace mailroot::commands
