#include "folders/history.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>

namespace mailroot::folders {

namespace {

using Json = nlohmann::ordered_json;

/// The member, or `otherwise` where it is missing or of another type.
template <class T>
T member(const Json& object, const char* key, T otherwise) {
    const auto found = object.find(key);
    if (found == object.end()) return otherwise;
    const bool fits = std::is_same_v<T, int>    ? found->is_number_integer()
                      : std::is_same_v<T, bool> ? found->is_boolean()
                                                : found->is_string();
    return fits ? found->get<T>() : otherwise;
}

}  // namespace

std::string timestamp(TimePoint time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

TimePoint parse_timestamp(const std::string& text) {
    std::tm parts{};
    if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return {};
    return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

bool owes_success(const History& history) {
    return std::ranges::any_of(history.recipients,
                               [](const auto& entry) { return entry.second.success_owed; });
}

std::string history_text(const History& history) {
    Json json{{"attempts", history.attempts}, {"crashes", history.crashes}};
    auto& recipients = json["recipients"] = Json::object();
    for (const auto& [address, attempt] : history.recipients) {
        auto& entry = recipients[address] = {{"attempts", attempt.count},
                                             {"when", timestamp(attempt.when)},
                                             {"host", attempt.host},
                                             {"reply", attempt.reply},
                                             {"tls", attempt.tls}};
        if (attempt.delay_told) entry["delayTold"] = true;
        if (attempt.success_owed) entry["successOwed"] = true;
    }
    // A peer's words need not be UTF-8; the file has to be.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<History> parse_history(std::string_view text) {
    const auto json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return fail(Error::Kind::parse, "not a message history");
    History history;
    history.attempts = member(json, "attempts", 0);
    history.crashes = member(json, "crashes", 0);
    const auto recipients = json.find("recipients");
    if (recipients == json.end() || !recipients->is_object()) return history;
    for (const auto& [address, entry] : recipients->items()) {
        if (!entry.is_object()) continue;
        history.recipients[address] = {parse_timestamp(member(entry, "when", std::string())),
                                       member(entry, "host", std::string()),
                                       member(entry, "reply", std::string()),
                                       member(entry, "attempts", 0),
                                       member(entry, "delayTold", false),
                                       member(entry, "successOwed", false),
                                       member(entry, "tls", std::string())};
    }
    return history;
}

}  // namespace mailroot::folders
