#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "commands/table.hpp"
#include "core/quantity.hpp"
#include "folders/pickup.hpp"
#include "folders/queue.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <ostream>

namespace mailroot::commands {

namespace {

using Json = nlohmann::ordered_json;

struct QueueReportOptions {
    std::vector<std::string> ids;
    bool json = false;
};

struct Row {
    folders::Queue::Entry entry;
    folders::Queue::Waiting waiting;
};

/// A file that is neither waiting nor on its way: somebody has to look at it.
struct Unusable {
    std::string file;
    std::string reason;
};

struct Report {
    std::vector<Row> rows;
    std::vector<Unusable> unusable;
};

bool is_asked_for(const QueueReportOptions& options, const MessageId& id) {
    return options.ids.empty() || std::ranges::find(options.ids, id.text()) != options.ids.end();
}

Result<Report> look(const QueueReportOptions& options, const folders::Mailroot& mailroot) {
    const folders::Queue queue(mailroot);
    Report report;
    std::vector<folders::Queue::Entry> entries;
    MAILROOT_TRY(queue.for_each(
        [&](const folders::Queue::Entry& entry) {
            if (is_asked_for(options, entry.id)) entries.push_back(entry);
        },
        [&](const std::string& name) {
            report.unusable.push_back(
                {mailroot.queue.place(name), "laid in by hand, not taken up yet"});
        }));
    const folders::Pickup pickup(mailroot);
    MAILROOT_TRY(pickup.scan([&](const folders::Pickup::Entry& entry) {
        if (auto reason = pickup.reason_against(entry.name))
            report.unusable.push_back({mailroot.pickup.place(entry.name), std::move(reason->what)});
    }));
    std::ranges::sort(entries, {}, &folders::Queue::Entry::id);
    for (const auto& entry : entries) {
        auto waiting = queue.look(entry);
        if (waiting) {
            report.rows.push_back({entry, std::move(*waiting)});
        } else if (waiting.error().kind != Error::Kind::not_found) {  // gone meanwhile is no news
            report.unusable.push_back(
                {mailroot.queue.place(entry.pickup ? folders::pickup_name(entry.id)
                                                   : folders::message_name(entry.id)),
                 waiting.error().what});
        }
    }
    for (const auto& id : options.ids) {
        const bool found = std::ranges::any_of(
            entries, [&](const folders::Queue::Entry& entry) { return entry.id.text() == id; });
        if (!found) return fail(Error::Kind::not_found, id + ": no such message in Queue");
    }
    return report;
}

std::string_view state_of(const Row& row) {
    if (row.entry.pickup) return "pickup";
    if (row.entry.next_attempt >= folders::held_from()) return "held";
    return row.waiting.history.attempts > 0 ? "deferred" : "new";
}

/// Why it waits: the newest reply to a recipient that is not settled.
std::string reason_of(const Row& row) {
    const folders::History::Attempt* newest = nullptr;
    for (const auto& recipient : row.waiting.envelope.recipients) {
        const auto found = row.waiting.history.recipients.find(recipient.address.text());
        if (recipient.settled || found == row.waiting.history.recipients.end()) continue;
        if (newest == nullptr || found->second.when > newest->when) newest = &found->second;
    }
    return newest == nullptr ? "" : newest->reply;
}

/// Of one message:
///     id, state     new, deferred, held, or pickup: taken from Pickup, being sent or left
///     sender        the reverse path, empty for a report
///     recipients    of each: address, settled, attempts, lastReply, lastHost,
///                   lastTls
///     size          octets of the file
///     arrival, nextAttempt   UTC
///     attempts      of the message
///     reason        the newest reply that keeps it waiting
Json json_of(const Row& row) {
    auto recipients = Json::array();
    for (const auto& recipient : row.waiting.envelope.recipients) {
        const auto address = recipient.address.text();
        const auto found = row.waiting.history.recipients.find(address);
        const auto last = found == row.waiting.history.recipients.end()
                              ? folders::History::Attempt{}
                              : found->second;
        recipients.push_back({{"address", address},
                              {"settled", recipient.settled},
                              {"attempts", last.count},
                              {"lastReply", last.reply},
                              {"lastHost", last.host},
                              {"lastTls", last.tls}});
    }
    return {{"id", row.entry.id.text()},
            {"state", state_of(row)},
            {"sender", row.waiting.envelope.reverse_path.text()},
            {"recipients", std::move(recipients)},
            {"size", row.entry.size},
            {"arrival", folders::timestamp(row.entry.id.arrival())},
            {"nextAttempt", folders::timestamp(row.entry.next_attempt)},
            {"attempts", row.waiting.history.attempts},
            {"reason", reason_of(row)}};
}

void print_json(const Report& report, std::ostream& out) {
    Json json{{"messages", Json::array()}, {"unusable", Json::array()}};
    for (const auto& row : report.rows) json["messages"].push_back(json_of(row));
    for (const auto& file : report.unusable)
        json["unusable"].push_back({{"file", file.file}, {"reason", file.reason}});
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

std::string recipients_text(const Envelope& envelope) {
    std::string first;
    std::size_t more = 0;
    for (const auto& recipient : envelope.recipients) {
        if (recipient.settled) continue;
        if (first.empty()) {
            first = recipient.address.text();
        } else {
            ++more;
        }
    }
    return more == 0 ? first : first + " +" + std::to_string(more);
}

std::string milliseconds_text(TimePoint::duration duration) {
    return age_text(std::chrono::duration_cast<std::chrono::milliseconds>(duration));
}

void print_table(const Report& report, TimePoint now, std::ostream& out) {
    Table table({"ID", "AGE", "SIZE", "TRIES", "NEXT", "SENDER", "RECIPIENTS", "REASON"});
    for (const auto& row : report.rows) {
        const auto state = state_of(row);
        const bool due = row.entry.next_attempt <= now;
        table.add({row.entry.id.text(), milliseconds_text(now - row.entry.id.arrival()),
                   short_size_text(row.entry.size), std::to_string(row.waiting.history.attempts),
                   state == "held" ? "held"
                   : due           ? "now"
                                   : milliseconds_text(row.entry.next_attempt - now),
                   '<' + row.waiting.envelope.reverse_path.text() + '>',
                   recipients_text(row.waiting.envelope), reason_of(row)});
    }
    table.print(out);
    Table unusable({"FILE", "UNUSABLE BECAUSE"});
    for (const auto& file : report.unusable) unusable.add({file.file, file.reason});
    unusable.print(out);
    out << report.rows.size()
        << (report.rows.size() == 1 ? " message waits\n" : " messages wait\n");
}

Result<int> run(const QueueReportOptions& options, Environment& environment) {
    const auto mailroot = open_mailroot(environment, folders::IfMissing::refuse);
    if (!mailroot) return tl::unexpected(mailroot.error());
    const auto report = look(options, *mailroot);
    if (!report) return tl::unexpected(report.error());
    if (options.json) {
        print_json(*report, environment.out);
    } else {
        print_table(*report, environment.clock.now(), environment.out);
    }
    return k_done;
}

}  // namespace

void add_queue_report(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<QueueReportOptions>();
    command.add_option("id", options->ids, "these messages alone")->type_name("ID");
    command.add_flag("--json", options->json, "print JSON");
    on_chosen(command, environment, options, run);
}

}  // namespace mailroot::commands
