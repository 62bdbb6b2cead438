#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/pass_report.hpp"
#include "delivery/queue_pass.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

namespace mailroot::commands {

namespace {

struct QueueRetryOptions {
    std::vector<std::string> ids;
    bool all = false;
    bool dry_run = false;
    bool json = false;
};

Result<delivery::QueueSelection> selection_of(const QueueRetryOptions& options) {
    delivery::QueueSelection selection;
    selection.all = options.all;
    for (const auto& text : options.ids) {
        const auto id = MessageId::parse(text);
        if (!id) return fail(Error::Kind::usage, "'" + text + "' is no message id (24 hex digits)");
        selection.ids.push_back(*id);
    }
    return selection;
}

/// The ids that were named and are not there.
Result<void> check_all_there(const delivery::QueueSelection& selection,
                             const std::vector<MessageId>& found) {
    for (const auto& id : selection.ids) {
        if (std::ranges::find(found, id) == found.end())
            return fail(Error::Kind::not_found, id.text() + ": no such message in Queue, or held");
    }
    return {};
}

Result<int> retry(const QueueRetryOptions& options, Environment& environment) {
    const auto settings = settings_of(environment);
    if (!settings) return tl::unexpected(settings.error());
    const auto selection = selection_of(options);
    if (!selection) return tl::unexpected(selection.error());
    auto mailroot = open_mailroot(environment, folders::IfMissing::refuse);
    if (!mailroot) return fail(std::move(mailroot));
    const auto log = make_log(environment);
    smtp::Loop loop(1);
    auto engine =
        Engine::make(environment, loop, *settings, *log, std::move(*mailroot), settings->listen);
    if (!engine) return fail(std::move(engine));
    auto& context = (*engine)->context;
    if (options.dry_run || !selection->ids.empty()) {
        const auto found = delivery::selected(context, *selection);
        if (!found) return tl::unexpected(found.error());
        MAILROOT_TRY(check_all_there(*selection, *found));
        if (options.dry_run) {
            std::vector<std::string> names;
            for (const auto& id : *found) names.push_back(id.text());
            report_plan(names, options.json, environment);
            return k_done;
        }
    }
    delivery::PassResult result;
    auto pass = [&]() -> smtp::Task<void> {
        result = co_await delivery::run_queue_pass(context, *(*engine)->courier,
                                                   *(*engine)->pickup_courier, *selection);
    };
    (*engine)->run(pass());
    return report_pass(result, {}, options.json, environment);
}

}  // namespace

void add_queue_retry(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<QueueRetryOptions>();
    command.add_option("id", options->ids, "messages to attempt now, due or not")->type_name("ID");
    command.add_flag("--all", options->all, "attempt all that waits, due or not");
    command.add_flag("--dry-run", options->dry_run, "print what would be attempted, send nothing");
    command.add_flag("--json", options->json, "print JSON");
    on_chosen(command, environment, options, retry);
}

}  // namespace mailroot::commands
