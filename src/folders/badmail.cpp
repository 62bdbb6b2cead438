#include "folders/badmail.hpp"

#include "core/first_of.hpp"
#include "folders/claim.hpp"
#include "folders/history.hpp"
#include "message/envelope_block.hpp"
#include "os/new_file.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <tuple>

namespace mailroot::folders {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t k_max_properties = 64u << 20;

struct ReasonText {
    BadmailReason reason;
    std::string_view name;
    std::string_view words;  ///< IIS's where they are known
    std::string_view code;
};

constexpr std::array k_reasons{
    ReasonText{BadmailReason::bad_pickup_file, "badPickupFile",
               "Error is processing file in pickup directory.", "0xC00402CE"},
    ReasonText{BadmailReason::general_failure, "generalFailure",
               "This message could not be delivered and could not be returned to its sender.", ""},
    ReasonText{BadmailReason::hop_count_exceeded, "hopCountExceeded",
               "The message was forwarded more than the maximum allowed times. This could indicate "
               "a mail loop.",
               ""},
    ReasonText{BadmailReason::ndr_of_dsn, "ndrOfDsn",
               "This message is a delivery status notification that cannot be delivered.",
               "0xC00402C7"},
    ReasonText{BadmailReason::too_many_reports, "tooManyReports",
               "This message could not be delivered, and its sender was sent too many reports.",
               ""},
};

const ReasonText& text_of(std::string_view name) {
    for (const auto& row : k_reasons) {
        if (row.name == name) return row;
    }
    return k_reasons[1];
}

std::string for_people(const BadmailProperties& properties) {
    const auto& reason = text_of(properties.reason);
    std::string text =
        "Unable to deliver this message because the following error was encountered: \"";
    text += reason.words;
    text += "\"\n";
    if (!reason.code.empty())
        text += "\nThe specific error code was " + std::string(reason.code) + ".\n";
    if (!properties.explanation.empty()) text += '\n' + properties.explanation + '\n';
    for (const auto& failure : properties.failures) {
        text += '\n' + failure.recipient + '\n';
        if (!failure.host.empty()) text += "    host: " + failure.host + '\n';
        text += "    reply: " + failure.reply + '\n';
    }
    return text;
}

std::string for_programs(const BadmailProperties& properties) {
    Json json{{"id", properties.id.text()},
              {"reason", properties.reason},
              {"code", text_of(properties.reason).code},
              {"explanation", properties.explanation},
              {"file", properties.file},
              {"sender", properties.sender},
              {"recipients", properties.recipients},
              {"failures", Json::array()},
              {"time", timestamp(properties.when)}};
    for (const auto& failure : properties.failures) {
        json["failures"].push_back(
            {{"recipient", failure.recipient}, {"host", failure.host}, {"reply", failure.reply}});
    }
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

/// The string member, or nothing.
std::string text_member(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

BadmailProperties properties_of(const Json& json, const MessageId& id) {
    BadmailProperties properties;
    properties.id = id;
    properties.reason = text_member(json, "reason");
    properties.explanation = text_member(json, "explanation");
    properties.when = parse_timestamp(text_member(json, "time"));
    properties.file = text_member(json, "file");
    properties.sender = text_member(json, "sender");
    if (const auto list = json.find("recipients"); list != json.end() && list->is_array()) {
        for (const auto& recipient : *list) {
            if (recipient.is_string()) properties.recipients.push_back(recipient);
        }
    }
    if (const auto list = json.find("failures"); list != json.end() && list->is_array()) {
        for (const auto& failure : *list) {
            if (!failure.is_object()) continue;
            properties.failures.push_back({text_member(failure, "recipient"),
                                           text_member(failure, "host"),
                                           text_member(failure, "reply")});
        }
    }
    return properties;
}

/// An entry with its companions.
Badmail::Dated date(const Mailroot& mailroot, const MessageId& id, const Badmail::Entry& entry) {
    // A file of Pickup keeps the time that its writer gave it: it came when it got its id.
    Badmail::Dated dated{id, std::max(entry.modified, id.arrival()), entry.size};
    for (const auto* extension : {".bdp", ".bdr"}) {
        const auto companion = mailroot.files.info(mailroot.badmail, entry.name + extension);
        if (companion) dated.octets += companion->size;
    }
    return dated;
}

/// Claims the message of an entry, has it taken out of the folder by its file's name, and removes
/// what described it. False where it is gone or another's.
Result<bool> take_out(const Mailroot& mailroot, const std::string& name,
                      const std::function<Result<void>(const std::string&)>& take) {
    auto& files = mailroot.files;
    const auto bad = name + ".bad";
    const auto claimed = claim_file(files, mailroot.badmail, bad, os::Files::Access::read);
    if (!claimed) return tl::unexpected(claimed.error());
    if (!*claimed) return false;
    auto taken = take(bad);
    if (!taken && taken.error().kind == Error::Kind::not_found) return false;
    if (!taken) return fail(std::move(taken));
    // Without their message they are swept, should this not succeed.
    (void)files.unlink(mailroot.badmail, name + ".bdp");
    (void)files.unlink(mailroot.badmail, name + ".bdr");
    return true;
}

}  // namespace

std::string_view name_of(BadmailReason reason) {
    for (const auto& row : k_reasons) {
        if (row.reason == reason) return row.name;
    }
    return "";
}

Result<void> Badmail::describe(const std::string& name, const BadmailProperties& properties) const {
    MAILROOT_TRY(os::commit(mailroot_.files, mailroot_.badmail, name + ".bdp",
                            for_programs(properties), os::Overwrite::yes));
    return os::commit(mailroot_.files, mailroot_.badmail, name + ".bdr", for_people(properties),
                      os::Overwrite::yes);
}

Result<void> Badmail::take(TakenPickup& file, const BadmailProperties& properties) const {
    const auto name = file.id().text();
    MAILROOT_TRY(describe(name, properties));
    // Its writer need not have synced it; from here on it is ours to keep.
    auto durable = mailroot_.files.sync(file.fd_);
    if (!durable) return fail(std::move(durable), mailroot_.queue.place(pickup_name(file.id())));
    MAILROOT_TRY(mailroot_.files.rename(mailroot_.queue, pickup_name(file.id()), mailroot_.badmail,
                                        name + ".bad"));
    (void)file.remove_history();  // what stays is swept
    return mailroot_.files.sync(mailroot_.badmail);
}

std::string Badmail::free_name(const MessageId& id, const MessageId& spare) const {
    const bool taken = mailroot_.files.info(mailroot_.badmail, id.text() + ".bad").has_value();
    return taken ? spare.text() : id.text();
}

Result<HandOver> Badmail::prepare(const std::string& name, const Envelope& envelope,
                                  MessageReader& reader,
                                  const BadmailProperties& properties) const {
    MAILROOT_TRY(describe(name, properties));
    return HandOver::prepare(mailroot_, mailroot_.badmail, name, message::envelope_block(envelope),
                             reader);
}

Result<void> Badmail::show(HandOver& file, const std::string& name) const {
    return file.show(name + ".bad");
}

Result<void> Badmail::scan(const std::function<void(const Entry&)>& entry) const {
    return os::for_each_name(mailroot_.files, mailroot_.badmail, [&](std::string_view name) {
        constexpr std::string_view k_extension = ".bad";
        if (name.starts_with('.') || !name.ends_with(k_extension)) return;
        const auto info = mailroot_.files.info(mailroot_.badmail, name);
        name.remove_suffix(k_extension.size());
        if (info) entry({std::string(name), info->modified, info->size});
    });
}

Result<Badmail::Stock> Badmail::stock(std::size_t most) const {
    const auto came_before = [](const Dated& a, const Dated& b) {
        return std::tie(a.arrival, a.id) < std::tie(b.arrival, b.id);
    };
    FirstOf<Dated, decltype(came_before)> oldest(most, came_before);
    Stock stock;
    MAILROOT_TRY(scan([&](const Entry& entry) {
        const auto id = MessageId::parse(entry.name);
        if (!id) return;
        const auto dated = date(mailroot_, *id, entry);
        ++stock.count;
        stock.octets += dated.octets;
        oldest.add(dated);
    }));
    stock.oldest = oldest.take();
    return stock;
}

Result<bool> Badmail::requeue(const std::string& name) const {
    const auto to_pickup = [&](const std::string& bad) {
        return mailroot_.files.rename(mailroot_.badmail, bad, mailroot_.pickup, name + ".eml");
    };
    auto taken = take_out(mailroot_, name, to_pickup);
    if (taken && *taken) MAILROOT_TRY(mailroot_.files.sync(mailroot_.pickup));
    return taken;
}

Result<bool> Badmail::remove(const std::string& name) const {
    return take_out(mailroot_, name, [&](const std::string& bad) {
        return mailroot_.files.unlink(mailroot_.badmail, bad);
    });
}

Result<BadmailProperties> Badmail::look(const std::string& name) const {
    const auto file = name + ".bdp";
    const auto place = mailroot_.badmail.place(file);
    auto fd = mailroot_.files.open(mailroot_.badmail, file, os::Files::Access::read);
    if (!fd) return fail(std::move(fd));
    auto text = os::read_whole(mailroot_.files, *fd, k_max_properties);
    if (!text) return fail(std::move(text), place);
    const auto json = Json::parse(*text, nullptr, false);
    const auto id = json.is_object() ? MessageId::parse(text_member(json, "id")) : std::nullopt;
    if (!id) return fail(Error::Kind::parse, place + ": no properties of a bad message");
    return properties_of(json, *id);
}

}  // namespace mailroot::folders
