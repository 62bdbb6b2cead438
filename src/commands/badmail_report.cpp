#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/table.hpp"
#include "core/quantity.hpp"
#include "folders/badmail.hpp"
#include "folders/history.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <ostream>

namespace mailroot::commands {

namespace {

using Json = nlohmann::ordered_json;

struct BadmailReportOptions {
    std::vector<std::string> ids;
    bool json = false;
};

struct Row {
    folders::Badmail::Entry entry;
    folders::BadmailProperties properties;
};

Result<std::vector<Row>> look(const BadmailReportOptions& options,
                              const folders::Mailroot& mailroot) {
    const folders::Badmail badmail(mailroot);
    std::vector<Row> rows;
    MAILROOT_TRY(badmail.scan([&](const folders::Badmail::Entry& entry) {
        const bool asked =
            options.ids.empty() || std::ranges::find(options.ids, entry.name) != options.ids.end();
        if (asked) rows.push_back({entry, {}});
    }));
    for (auto& row : rows) {
        // A message without its properties, laid in by hand, is listed all the same.
        auto properties = badmail.look(row.entry.name);
        if (properties) {
            row.properties = std::move(*properties);
        } else {
            row.properties.when = row.entry.modified;
        }
    }
    std::ranges::sort(rows, {}, [](const Row& row) { return row.entry.name; });
    for (const auto& id : options.ids) {
        const bool found =
            std::ranges::any_of(rows, [&](const Row& row) { return row.entry.name == id; });
        if (!found) return fail(Error::Kind::not_found, id + ": no such message in Badmail");
    }
    return rows;
}

/// The one line that tells most: the explanation, else the first recipient's reply.
std::string detail_of(const folders::BadmailProperties& properties) {
    if (!properties.explanation.empty()) return properties.explanation;
    return properties.failures.empty() ? "" : properties.failures.front().reply;
}

/// messages: of each id (the file's name), reason, detail, sender, recipients, file (its name in
/// Pickup), size (octets), time (UTC, when it came here). total: how many.
void print_json(const std::vector<Row>& rows, std::ostream& out) {
    Json json{{"messages", Json::array()}, {"total", rows.size()}};
    for (const auto& row : rows) {
        json["messages"].push_back({{"id", row.entry.name},
                                    {"reason", row.properties.reason},
                                    {"detail", detail_of(row.properties)},
                                    {"sender", row.properties.sender},
                                    {"recipients", row.properties.recipients},
                                    {"file", row.properties.file},
                                    {"size", row.entry.size},
                                    {"time", folders::timestamp(row.properties.when)}});
    }
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_table(const std::vector<Row>& rows, TimePoint now, std::ostream& out) {
    Table table({"ID", "AGE", "SIZE", "REASON", "SENDER", "DETAIL"});
    for (const auto& row : rows) {
        const auto age =
            std::chrono::duration_cast<std::chrono::milliseconds>(now - row.properties.when);
        table.add({row.entry.name, age_text(age), short_size_text(row.entry.size),
                   row.properties.reason, '<' + row.properties.sender + '>',
                   detail_of(row.properties)});
    }
    table.print(out);
    out << rows.size() << (rows.size() == 1 ? " message in Badmail\n" : " messages in Badmail\n");
}

Result<int> run(const BadmailReportOptions& options, Environment& environment) {
    const auto mailroot = open_mailroot(environment, folders::IfMissing::refuse);
    if (!mailroot) return tl::unexpected(mailroot.error());
    const auto rows = look(options, *mailroot);
    if (!rows) return tl::unexpected(rows.error());
    if (options.json) {
        print_json(*rows, environment.out);
    } else {
        print_table(*rows, environment.clock.now(), environment.out);
    }
    return k_done;
}

}  // namespace

void add_badmail_report(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<BadmailReportOptions>();
    command.add_option("id", options->ids, "these messages alone")->type_name("ID");
    command.add_flag("--json", options->json, "print JSON");
    on_chosen(command, environment, options, run);
}

}  // namespace mailroot::commands
