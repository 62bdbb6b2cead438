#include "commands/command.hpp"
#include "commands/engine.hpp"
#include "core/message_id.hpp"
#include "folders/pickup.hpp"
#include "message/address_list.hpp"
#include "message/compose.hpp"
#include "message/envelope_block.hpp"
#include "message/pickup_message.hpp"
#include "os/new_file.hpp"
#include "smtp/client.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <ostream>
#include <random>

namespace mailroot::commands {

namespace {

using Json = nlohmann::ordered_json;

struct SendOptions {
    std::string from;
    std::vector<std::string> to, cc, bcc;
    std::string subject;
    std::string text;
    std::vector<std::string> headers;
    bool from_stdin = false;  ///< `-t`: the message, its recipients in its header
    std::string via = "pickup";
    std::string server = "127.0.0.1:25";
    bool json = false;
};

/// A message ready to go, canonical.
struct Outgoing {
    MessageId id;
    Envelope envelope;
    std::string message;
};

Result<std::vector<Address>> addresses_of(std::string_view option,
                                          const std::vector<std::string>& texts) {
    std::vector<Address> addresses;
    for (const auto& text : texts) {
        auto list = message::parse_address_list(text);
        if (!list) return fail(Error::Kind::usage, std::string(option) + ": " + list.error().what);
        std::ranges::move(*list, std::back_inserter(addresses));
    }
    return addresses;
}

Result<Envelope> envelope_of(const SendOptions& options, const config::Settings& settings) {
    Envelope envelope;
    auto from = addresses_of("--from", {options.from});
    if (!from) return fail(std::move(from));
    if (from->size() != 1) return fail(Error::Kind::usage, "--from: one address is needed");
    envelope.reverse_path = from->front();
    const std::pair<std::string_view, const std::vector<std::string>*> lists[] = {
        {"--to", &options.to}, {"--cc", &options.cc}, {"--bcc", &options.bcc}};
    for (const auto& [option, texts] : lists) {
        auto addresses = addresses_of(option, *texts);
        if (!addresses) return fail(std::move(addresses));
        for (auto& address : *addresses)
            envelope.recipients.push_back({std::move(address), "", "", false});
    }
    if (envelope.recipients.empty())
        return fail(Error::Kind::usage, "no recipient: --to, --cc or --bcc is needed");
    for (auto& recipient : envelope.recipients) {
        if (recipient.address.domain.empty())
            recipient.address.domain = settings.domains.default_domain;
    }
    return envelope;
}

Result<Outgoing> composed(const SendOptions& options, const config::Settings& settings,
                          MessageId id, Environment& environment) {
    auto envelope = envelope_of(options, settings);
    if (!envelope) return fail(std::move(envelope));
    message::Draft draft{options.from, options.to, options.cc, options.subject, options.text, {}};
    for (const auto& header : options.headers) {
        const auto colon = header.find(':');
        if (colon == std::string::npos || colon == 0)
            return fail(Error::Kind::usage, "--header: '" + header + "' is not 'Name: value'");
        const auto value = header.find_first_not_of(' ', colon + 1);
        draft.headers.emplace_back(header.substr(0, colon),
                                   value == std::string::npos ? "" : header.substr(value));
    }
    auto text = message::compose(draft, id, settings.hostname, environment.clock.now());
    return Outgoing{id, std::move(*envelope), std::move(text)};
}

/// A whole message from standard input: as a pickup file would be read.
Result<Outgoing> passed_on(const SendOptions& options, const config::Settings& settings,
                           MessageId id, Environment& environment) {
    const std::string input{std::istreambuf_iterator<char>(environment.in), {}};
    message::PickupScanner scanner(
        {message::Dots::raw, false, settings.limits.message_size, settings.domains.default_domain});
    std::string named;
    if (!options.from.empty()) named = "x-sender: " + options.from + "\r\n";
    if (!named.empty()) MAILROOT_TRY(scanner.feed(named));
    if (auto fed = scanner.feed(input); !fed) return fail(std::move(fed), "standard input");
    auto scanned = scanner.finish();
    if (!scanned) return fail(std::move(scanned), "standard input");
    message::PickupCanonicalizer canonicalizer(*scanned);
    Outgoing outgoing{id, std::move(scanned->envelope), ""};
    canonicalizer.feed(named, outgoing.message);
    canonicalizer.feed(input, outgoing.message);
    canonicalizer.finish(outgoing.message);
    return outgoing;
}

/// Lays the message into Pickup under a name that is taken up only once it is whole.
Result<int> put_into_pickup(const Outgoing& outgoing, const SendOptions& options,
                            Environment& environment) {
    const auto mailroot = open_mailroot(environment, folders::IfMissing::create);
    if (!mailroot) return tl::unexpected(mailroot.error());
    const auto name = folders::message_name(outgoing.id);
    MAILROOT_TRY(os::commit(mailroot->files, mailroot->pickup, name,
                            message::envelope_block(outgoing.envelope) + outgoing.message,
                            os::Overwrite::no));
    const auto place = mailroot->pickup.place(name);
    if (options.json) {
        environment.out << Json{{"via", "pickup"}, {"file", place}}.dump(2) << '\n';
    } else {
        environment.out << place << '\n';
    }
    return k_done;
}

class MessageText final : public smtp::MessageSource {
 public:
    explicit MessageText(const std::string& text) : text_(text) {}
    [[nodiscard]] std::uint64_t size() const override { return text_.size(); }
    smtp::Task<Result<std::string>> next() override {
        co_return std::exchange(given_, true) ? std::string() : text_;
    }

 private:
    const std::string& text_;
    bool given_ = false;
};

Result<smtp::Endpoint> server_of(const std::string& text) {
    const auto colon = text.rfind(':');
    smtp::Endpoint endpoint;
    endpoint.address = text.substr(0, colon);
    if (endpoint.address.starts_with('[') && endpoint.address.ends_with(']'))
        endpoint.address = endpoint.address.substr(1, endpoint.address.size() - 2);
    const char* const end = text.data() + text.size();
    const bool port = colon != std::string::npos &&
                      std::from_chars(text.data() + colon + 1, end, endpoint.port).ptr == end &&
                      endpoint.port != 0;
    if (!port || endpoint.address.empty())
        return fail(Error::Kind::usage, "--server: '" + text + "' is not HOST:PORT");
    endpoint.name = endpoint.address;
    return endpoint;
}

/// Of JSON: via, recipients (of each: address, verdict: delivered, deferred or failed, reply).
int report_verdicts(const Outgoing& outgoing, const std::vector<Verdict>& verdicts, bool json,
                    Environment& environment) {
    constexpr std::string_view k_words[] = {"delivered", "deferred", "failed"};
    int code = k_done;
    Json recipients = Json::array();
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        const auto address = outgoing.envelope.recipients[i].address.text();
        const auto word = k_words[static_cast<std::size_t>(verdicts[i].kind)];
        const auto words = verdicts[i].reply.text();
        recipients.push_back({{"address", address}, {"verdict", word}, {"reply", words}});
        if (!json) environment.out << address << ": " << word << ": " << words << '\n';
        if (verdicts[i].kind == Verdict::Kind::failed) code = k_unavailable;
        if (verdicts[i].kind == Verdict::Kind::deferred && code == k_done) code = k_try_later;
    }
    if (json) {
        environment.out << Json{{"via", "smtp"}, {"recipients", recipients}}.dump(
                               2, ' ', false, Json::error_handler_t::replace)
                        << '\n';
    }
    return code;
}

Result<int> hand_to_server(const Outgoing& outgoing, const SendOptions& options,
                           const config::Settings& settings, Environment& environment) {
    const auto endpoint = server_of(options.server);
    if (!endpoint) return tl::unexpected(endpoint.error());
    smtp::Loop loop(1);
    const auto reactor = smtp::make_reactor(loop);
    auto connector = smtp::make_curl_connector(*reactor, settings.hostname, {});
    if (!connector) return fail(std::move(connector));
    std::vector<Verdict> verdicts(outgoing.envelope.recipients.size());
    auto talk = [&]() -> smtp::Task<void> {
        auto outcome = co_await (*connector)->connect(*endpoint);
        if (outcome.connection) {
            MessageText source(outgoing.message);
            verdicts = co_await outcome.connection->send(outgoing.envelope, source);
            co_await outcome.connection->quit();
        } else {
            std::ranges::fill(verdicts, outcome.failure);
        }
        loop.stop();
    };
    smtp::spawn(loop, talk());
    loop.run();
    return report_verdicts(outgoing, verdicts, options.json, environment);
}

Result<int> send(const SendOptions& options, Environment& environment) {
    const auto settings = settings_of(environment);
    if (!settings) return tl::unexpected(settings.error());
    if (!options.from_stdin && options.from.empty())
        return fail(Error::Kind::usage, "--from is needed, or -t with a message on standard input");
    MessageIdSource ids(environment.clock, std::random_device{}());
    auto outgoing = options.from_stdin ? passed_on(options, *settings, ids.next(), environment)
                                       : composed(options, *settings, ids.next(), environment);
    if (!outgoing) return fail(std::move(outgoing));
    if (options.via == "smtp") return hand_to_server(*outgoing, options, *settings, environment);
    return put_into_pickup(*outgoing, options, environment);
}

}  // namespace

void add_send(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<SendOptions>();
    command.add_option("--from", options->from, "the sender, also of the envelope")
        ->type_name("ADDRESS");
    // A message that is passed on brings its own header.
    const std::vector<CLI::Option*> composing{
        command.add_option("--to", options->to, "recipients")->type_name("ADDRESS"),
        command.add_option("--cc", options->cc, "further recipients")->type_name("ADDRESS"),
        command.add_option("--bcc", options->bcc, "recipients that no header names")
            ->type_name("ADDRESS"),
        command.add_option("--subject", options->subject, "the subject")->type_name("TEXT"),
        command.add_option("--text", options->text, "the text")->type_name("TEXT"),
        command.add_option("--header", options->headers, "a further header field")
            ->type_name("'NAME: VALUE'")};
    auto* const whole = command.add_flag(
        "-t", options->from_stdin,
        "read a whole message from standard input, its recipients from its header");
    for (auto* const option : composing) whole->excludes(option);
    command.add_option("--via", options->via, "how it is handed over: pickup or smtp")
        ->check(CLI::IsMember({"pickup", "smtp"}))
        ->type_name("WAY");
    command.add_option("--server", options->server, "the SMTP server, with --via smtp")
        ->type_name("HOST:PORT");
    command.add_flag("--json", options->json, "print JSON");
    on_chosen(command, environment, options, send);
}

}  // namespace mailroot::commands
