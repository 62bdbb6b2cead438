#include "commands/server_setup.hpp"

#include "config/forms.hpp"
#include "config/text_file.hpp"
#include "delivery/local_domains.hpp"
#include "message/received.hpp"

#include <algorithm>
#include <chrono>

namespace mailroot::commands {

namespace {

using namespace std::chrono_literals;

constexpr auto k_certificate_notice = 14 * 24h;

/// The text of a key's file as `parse` makes something of it; whatever is wrong names both.
template <class Parse>
auto read_parsed(const char* key, const std::string& file, const Parse& parse)
    -> decltype(parse(std::string_view())) {
    const auto place = std::string(key) + ": " + file + ": ";
    auto text = config::read_text_file(file);
    if (!text) return fail(Error::Kind::config, place + text.error().what);
    auto parsed = parse(*text);
    if (!parsed) return fail(Error::Kind::config, place + parsed.error().what);
    return parsed;
}

/// The first of `names` that is none of the users.
const std::string* nobody(const std::vector<std::string>& names, const smtp::Users& users) {
    const auto found = std::ranges::find_if(
        names, [&](const std::string& name) { return users.find(name) == nullptr; });
    return found == names.end() ? nullptr : &*found;
}

/// Who may fetch mail by ATRN must be somebody.
Result<void> check_turn(const config::Settings& settings, const smtp::Users& users) {
    const auto& remote = settings.domains.remote;
    const auto wrong = std::ranges::find_if(
        remote, [&](const auto& entry) { return nobody(entry.second.turn, users) != nullptr; });
    if (wrong == remote.end()) return {};
    return fail(Error::Kind::config, "domains.remote: '" + *nobody(wrong->second.turn, users) +
                                         "', who may fetch the mail of " + wrong->first +
                                         ", is not in " + settings.auth.users);
}

}  // namespace

smtp::ServerOptions server_options(const config::Settings& settings) {
    const auto& limits = settings.limits;
    smtp::ServerOptions options;
    options.hostname = settings.hostname;
    options.message_size = limits.message_size;
    options.session_size = limits.session_size;
    options.recipients = limits.recipients;
    options.messages_per_connection = limits.messages_per_connection;
    options.connections = limits.connections;
    options.errors = limits.errors;
    options.unknown_commands = limits.unknown_commands;
    options.idle_commands = limits.idle_commands;
    options.idle = limits.idle;
    options.min_rate = limits.min_rate;
    options.bare_newline =
        limits.bare_newline == "reject" ? smtp::BareNewline::reject : smtp::BareNewline::normalize;
    options.auth_requires_tls = settings.auth.require_tls;
    options.auth_failures = settings.auth.failures;
    options.auth_failure_delay = settings.auth.failure_delay;
    options.etrn = true;
    options.turn = std::ranges::any_of(
        settings.domains.remote, [](const auto& entry) { return !entry.second.turn.empty(); });
    return options;
}

Result<smtp::Networks> networks(const char* key, const std::vector<std::string>& texts) {
    auto parsed = smtp::Networks::parse(texts);
    if (!parsed) return fail(std::move(parsed), key);
    return parsed;
}

Result<smtp::AdmissionOptions> admission_options(const config::Settings& settings) {
    smtp::AdmissionOptions options;
    auto allow = networks("access.allow", settings.access.allow);
    if (!allow) return fail(std::move(allow));
    auto deny = networks("access.deny", settings.access.deny);
    if (!deny) return fail(std::move(deny));
    auto exempt = networks("relay.networks", settings.relay.networks);
    if (!exempt) return fail(std::move(exempt));
    options.allow = *std::move(allow);
    options.deny = *std::move(deny);
    options.exempt = *std::move(exempt);
    options.connections_per_ip = settings.limits.connections_per_ip;
    options.connections_per_minute = settings.limits.connections_per_minute;
    options.recipients_per_minute = settings.limits.recipients_per_minute;
    return options;
}

smtp::ListenerOptions listener_options(const std::string& entry) {
    using Tls = smtp::ListenerOptions::Tls;
    const auto [address, tls] = config::listen_entry(entry);
    smtp::ListenerOptions listener{std::string(address)};
    if (tls == "implicit") listener.tls = Tls::implicit;
    if (tls == "none") listener.tls = Tls::none;
    listener.require_tls = tls == "required" || tls == "implicit";
    return listener;
}

Result<ServerFiles> read_server_files(const config::Settings& settings) {
    ServerFiles files;
    if (!settings.tls.certificate.empty()) {
        auto tls = smtp::TlsContext::load(settings.tls.certificate, settings.tls.key);
        if (!tls) return fail(std::move(tls), "tls");
        files.secrets.tls = *std::move(tls);
    }
    if (const auto& file = settings.tls.authorities; !file.empty()) {
        // libcurl reads it for each connection; what is wrong with it is better known now.
        const auto parse = [](std::string_view text) -> Result<bool> {
            if (text.find("-----BEGIN CERTIFICATE-----") != std::string_view::npos) return true;
            return fail(Error::Kind::config, "there is no PEM certificate in it");
        };
        auto read = read_parsed("tls.authorities", file, parse);
        if (!read) return fail(std::move(read));
    }
    if (!settings.auth.users.empty()) {
        auto users = read_parsed("auth.users", settings.auth.users, smtp::Users::parse);
        if (!users) return fail(std::move(users));
        if (users->empty()) {
            return fail(Error::Kind::config,
                        "auth.users: " + settings.auth.users + ": there is no user in it");
        }
        MAILROOT_TRY(check_turn(settings, *users));
        files.secrets.users = std::make_shared<smtp::Users>(*std::move(users));
    }
    auto lists = std::make_shared<delivery::RecipientLists>();
    for (const auto& [domain, file] : settings.domains.recipients) {
        const auto parse = [&domain = domain](std::string_view text) {
            return delivery::RecipientList::parse(text, domain);
        };
        auto list = read_parsed("domains.recipients", file, parse);
        if (!list) return fail(std::move(list));
        lists->emplace(delivery::domain_key(domain), *std::move(list));
    }
    files.recipients = std::move(lists);
    return files;
}

void warn_of(const ServerFiles& files, const Clock& clock, EventLog& log) {
    if (!files.secrets.tls) return;
    const auto end = files.secrets.tls->not_after();
    if (end > clock.now() + k_certificate_notice) return;
    const bool over = end <= clock.now();
    log.warning("tls.certificate " + std::string(over ? "has run out on " : "runs out on ") +
                message::date_text(end));
}

}  // namespace mailroot::commands
