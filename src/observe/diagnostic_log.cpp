#include "observe/diagnostic_log.hpp"

#include "core/quantity.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <string>
#include <utility>

namespace mailroot::observe {

namespace {

std::string sender_text(const Envelope& envelope) {
    return '<' + envelope.reverse_path.text() + '>';
}

std::string_view word(Verdict::Kind kind) {
    switch (kind) {
        case Verdict::Kind::delivered:
            return "delivered";
        case Verdict::Kind::deferred:
            return "deferred";
        default:
            return "failed";
    }
}

class DiagnosticLog final : public EventLog {
 public:
    explicit DiagnosticLog(Loudness loudness)
        : log_("mailroot", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
        log_.set_pattern("mailroot: %v");
        log_.set_level(loudness == Loudness::quiet    ? spdlog::level::warn
                       : loudness == Loudness::normal ? spdlog::level::info
                                                      : spdlog::level::debug);
        log_.flush_on(spdlog::level::info);
    }

    void received(const MessageId& id, const Envelope& envelope, std::uint64_t octets,
                  const Peer& client) override {
        const auto user = client.authenticated() ? " as " + client.user : "";
        say(spdlog::level::info, "{}: received from {} at {} [{}]{}, {} recipients, {}", id.text(),
            sender_text(envelope), client.helo, client.address, user, envelope.recipients.size(),
            short_size_text(octets));
    }

    void picked_up(const MessageId& id, std::string_view file, const Envelope& envelope,
                   std::string_view dots) override {
        say(spdlog::level::info, "{}: picked up {} from {}, {} recipients, dots {}", id.text(),
            file, sender_text(envelope), envelope.recipients.size(), dots);
    }

    void attempted(const MessageId& id, const Address& recipient, const Verdict& verdict,
                   std::optional<TimePoint> next_attempt) override {
        auto host = verdict.host.empty() ? "" : " via " + verdict.host;
        if (!verdict.tls.protocol.empty()) host += " (" + verdict.tls.text() + ')';
        const auto next = next_attempt ? ", next attempt " + time_text(*next_attempt) : "";
        say(spdlog::level::info, "{}: {} {}{}: {}{}", id.text(), word(verdict.kind),
            recipient.text(), host, verdict.reply.text(), next);
    }

    void reported(const MessageId& id, const MessageId& report, const Address& sender) override {
        say(spdlog::level::info, "{}: reported to {} as {}", id.text(), sender.text(),
            report.text());
    }

    void badmailed(const MessageId& id, std::string_view reason) override {
        say(spdlog::level::warn, "{}: to Badmail: {}", id.text(), reason);
    }

    void settled(const MessageId& id) override {
        say(spdlog::level::debug, "{}: settled", id.text());
    }

    void set_aside(std::string_view file, const Error& reason) override {
        say(spdlog::level::warn, "left where it is: {}: {}", file, reason.what);
    }

    void connected(const Peer& client) override { session(client, "connected"); }

    void turned_away(const Peer& client, const Reply& why) override {
        say(spdlog::level::info, "[{}] turned away: {}", client.address, why.text());
    }

    void encrypted(const Peer& client) override {
        session(client, client.tls_protocol + ' ' + client.tls_cipher);
    }

    void encryption_failed(const Peer& client, std::string_view why) override {
        say(spdlog::level::info, "[{}] TLS failed: {}", client.address, why);
    }

    void authenticated(const Peer& client, std::string_view mechanism) override {
        session(client, "authenticated as " + client.user + " by " + std::string(mechanism));
    }

    void authentication_failed(const Peer& client, std::string_view mechanism,
                               std::string_view name) override {
        say(spdlog::level::warn, "[{}] authentication failed: {} as '{}'", client.address,
            mechanism, name);
    }

    void command(const Peer& client, const SmtpCommand& command) override {
        // What was refused is asked for later on.
        const bool refused = command.reply.code >= 400;
        say(refused ? spdlog::level::info : spdlog::level::debug, "[{}] #{} {}: {}", client.address,
            client.session, command.line, command.reply.text());
    }

    void disconnected(const Peer& client, const SessionEnd& end) override {
        say(spdlog::level::debug, "[{}] #{} {} after {}, {} messages, {} received, {} sent",
            client.address, client.session, end.how, duration_text(end.lasted), end.messages,
            short_size_text(end.received), short_size_text(end.sent));
    }

    void notice(std::string_view what) override { say(spdlog::level::info, "{}", what); }
    void warning(std::string_view what) override { say(spdlog::level::warn, "{}", what); }

 private:
    void session(const Peer& client, std::string_view what) {
        say(spdlog::level::debug, "[{}] #{} {}", client.address, client.session, what);
    }

    /// Names of files, addresses and replies are other people's: none may end the line and begin
    /// one of its own, or speak to the terminal.
    template <class... Values>
    void say(spdlog::level::level_enum level, fmt::format_string<Values...> format,
             Values&&... values) {
        if (!log_.should_log(level)) return;
        auto line = fmt::format(format, std::forward<Values>(values)...);
        std::ranges::replace_if(
            line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
        log_.log(level, line);
    }

    static std::string time_text(TimePoint time) {
        const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
        std::tm local{};
        ::localtime_r(&seconds, &local);
        char text[32];
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
        return text;
    }

    spdlog::logger log_;
};

}  // namespace

std::unique_ptr<EventLog> make_diagnostic_log(Loudness loudness) {
    return std::make_unique<DiagnosticLog>(loudness);
}

}  // namespace mailroot::observe
