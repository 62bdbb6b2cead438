#pragma once

#include "config/settings.hpp"
#include "core/event_log.hpp"
#include "delivery/context.hpp"
#include "delivery/courier.hpp"
#include "delivery/credentials.hpp"
#include "delivery/destinations.hpp"
#include "delivery/router.hpp"
#include "dns/resolver.hpp"
#include "folders/mailroot_fixture.hpp"
#include "smtp/client.hpp"
#include "smtp/http_client.hpp"
#include "smtp/loop.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

/// Time that stands still until it is moved.
struct HandClock final : mailroot::Clock {
    mailroot::TimePoint time = std::chrono::system_clock::now();
    [[nodiscard]] mailroot::TimePoint now() const override { return time; }
};

/// Events as one line each.
struct EventRecorder final : mailroot::EventLog {
    std::vector<std::string> lines;

    void received(const mailroot::MessageId&, const mailroot::Envelope&, std::uint64_t,
                  const mailroot::Peer& client) override {
        lines.push_back("received " + client.address);
    }
    void picked_up(const mailroot::MessageId&, std::string_view file, const mailroot::Envelope&,
                   std::string_view dots) override {
        lines.push_back("picked up " + std::string(file) + ' ' + std::string(dots));
    }
    void attempted(const mailroot::MessageId&, const mailroot::Address& recipient,
                   const mailroot::Verdict& verdict, std::optional<mailroot::TimePoint>) override {
        const char* const words[] = {"delivered ", "deferred ", "failed "};
        lines.push_back(words[static_cast<int>(verdict.kind)] + recipient.text());
    }
    void reported(const mailroot::MessageId&, const mailroot::MessageId&,
                  const mailroot::Address& sender) override {
        lines.push_back("reported " + sender.text());
    }
    void badmailed(const mailroot::MessageId&, std::string_view reason) override {
        lines.push_back("badmailed " + std::string(reason));
    }
    void settled(const mailroot::MessageId&) override { lines.emplace_back("settled"); }
    void set_aside(std::string_view file, const mailroot::Error&) override {
        lines.push_back("set aside " + std::string(file));
    }
    void connected(const mailroot::Peer&) override {}
    void turned_away(const mailroot::Peer&, const mailroot::Reply&) override {}
    void encrypted(const mailroot::Peer&) override {}
    void encryption_failed(const mailroot::Peer&, std::string_view) override {}
    void authenticated(const mailroot::Peer&, std::string_view) override {}
    void authentication_failed(const mailroot::Peer&, std::string_view, std::string_view) override {
    }
    void command(const mailroot::Peer&, const mailroot::SmtpCommand&) override {}
    void disconnected(const mailroot::Peer&, const mailroot::SessionEnd&) override {}
    void notice(std::string_view) override {}
    void warning(std::string_view what) override {
        lines.push_back("warning " + std::string(what));
    }

    [[nodiscard]] bool has(const std::string& line) const {
        return std::ranges::find(lines, line) != lines.end();
    }
};

/// Domains and the addresses of their one mail host; others do not exist.
struct FakeResolver final : mailroot::dns::Resolver {
    std::map<std::string, std::string, std::less<>> zone;
    std::map<std::string, std::string, std::less<>> pointers;
    bool temporary = false;
    bool silent = false;  ///< about names of addresses

    void mx(std::string_view name, std::function<void(mailroot::dns::MxAnswer)> then) override {
        mailroot::dns::MxAnswer answer;
        answer.status = temporary             ? mailroot::dns::Status::temporary
                        : zone.contains(name) ? mailroot::dns::Status::found
                                              : mailroot::dns::Status::no_such_domain;
        if (answer.status == mailroot::dns::Status::found)
            answer.records = {{10, "mx." + std::string(name)}};
        answer.error = "no answer";
        then(answer);
    }
    void names(std::string_view name,
               std::function<void(mailroot::dns::NameAnswer)> then) override {
        mailroot::dns::NameAnswer answer;
        const auto found = pointers.find(name);
        answer.status = mailroot::dns::Status::no_such_domain;
        if (found != pointers.end()) {
            answer.status = mailroot::dns::Status::found;
            answer.names = {found->second};
        }
        if (!silent) then(answer);
    }
    void addresses(std::string_view name, mailroot::dns::Family family,
                   std::function<void(mailroot::dns::AddressAnswer)> then) override {
        mailroot::dns::AddressAnswer answer;
        const auto found = zone.find(name.substr(name.find('.') + 1));
        answer.status = mailroot::dns::Status::no_data;
        if (found != zone.end() && family == mailroot::dns::Family::ipv4) {
            answer.status = mailroot::dns::Status::found;
            answer.addresses = {found->second};
        }
        then(answer);
    }
};

/// Other hosts: what they answer, and what they were given.
class FakeHosts final : public mailroot::smtp::Connector {
 public:
    struct Delivered {
        std::string address;  ///< of the host
        mailroot::Envelope envelope;
        std::string message;
    };

    std::map<std::string, int> recipient_codes;  ///< by address; else 250
    std::map<std::string, int> connect_codes;    ///< by host address: 0 refuses the connection,
                                                 ///< 535 the login
    std::chrono::milliseconds greeting_takes{1};
    std::chrono::milliseconds quit_takes{0};
    std::function<void()> on_quit = [] {};
    bool lacks_chunking = false;    ///< and offers it
    bool pipelining = false;        ///< a message may be begun behind another one
    int begun = 0;                  ///< that were
    bool dsn = false;               ///< they offer it
    int lost_after = -1;            ///< messages until each connection is lost between two
    int gone_after = -1;            ///< messages until each connection is lost at the end of one
    bool gone_with_a_word = false;  ///< the host answered something before
    int busy_after = -1;  ///< messages until each connection is answered 421 at the end of one
    std::vector<Delivered> delivered;
    int connections = 0;
    int open = 0;
    int most_open = 0;

    mailroot::smtp::Task<mailroot::smtp::ConnectOutcome> connect(
        mailroot::smtp::Endpoint endpoint) override;

 private:
    friend class FakeConnection;
};

class FakeConnection final : public mailroot::smtp::ClientConnection {
 public:
    FakeConnection(FakeHosts& hosts, const mailroot::smtp::Endpoint& endpoint)
        : hosts_(hosts),
          address_(endpoint.address),
          misled_(hosts.lacks_chunking && endpoint.chunking) {
        hosts_.most_open = std::max(hosts_.most_open, ++hosts_.open);
    }
    ~FakeConnection() override { --hosts_.open; }

    using mailroot::smtp::ClientConnection::send;

    mailroot::smtp::Task<std::vector<mailroot::Verdict>> send(
        const mailroot::Envelope& envelope, mailroot::smtp::MessageSource& message,
        mailroot::smtp::FindNext find_next) override {
        begun_ = usable_ && hosts_.pipelining && find_next();
        hosts_.begun += begun_ ? 1 : 0;
        co_await mailroot::smtp::pause(std::chrono::milliseconds{1});
        std::vector<mailroot::Verdict> verdicts;
        answered_ = misled_;
        if (misled_) {
            usable_ = false;
            verdicts.resize(
                envelope.recipients.size(),
                {mailroot::Verdict::Kind::deferred, mailroot::reply(502, "", "what?"), address_});
            co_return verdicts;
        }
        if (!usable_ || (hosts_.lost_after >= 0 && sent_++ >= hosts_.lost_after)) {
            usable_ = false;
            verdicts.resize(envelope.recipients.size(),
                            {mailroot::Verdict::Kind::deferred,
                             mailroot::reply(0, "", "connection lost"), address_});
            co_return verdicts;
        }
        FakeHosts::Delivered taken{address_, envelope, ""};
        taken.envelope.recipients.clear();
        for (;;) {
            const auto octets = co_await message.next();
            if (!octets) {
                usable_ = false;
                verdicts.resize(envelope.recipients.size(),
                                {mailroot::Verdict::Kind::deferred,
                                 mailroot::reply(451, "4.3.0", octets.error().what), ""});
                co_return verdicts;
            }
            if (octets->empty()) break;
            taken.message += *octets;
        }
        if (hosts_.busy_after >= 0 && sent_++ >= hosts_.busy_after) {
            usable_ = false;
            verdicts.resize(
                envelope.recipients.size(),
                {mailroot::Verdict::Kind::deferred, mailroot::reply(421, "", "enough"), address_});
            co_return verdicts;
        }
        if (hosts_.gone_after >= 0 && sent_++ >= hosts_.gone_after) {
            usable_ = false;
            answered_ = hosts_.gone_with_a_word;
            verdicts.resize(envelope.recipients.size(),
                            {mailroot::Verdict::Kind::deferred,
                             mailroot::reply(0, "", "connection lost"), address_});
            co_return verdicts;
        }
        answered_ = true;
        for (const auto& recipient : envelope.recipients) {
            const auto found = hosts_.recipient_codes.find(recipient.address.text());
            const int code = found == hosts_.recipient_codes.end() ? 250 : found->second;
            if (code == 250) taken.envelope.recipients.push_back(recipient);
            verdicts.push_back({mailroot::kind_of(code), mailroot::reply(code, "", "said the host"),
                                address_, code == 250 && hosts_.dsn});
        }
        if (!taken.envelope.recipients.empty()) hosts_.delivered.push_back(std::move(taken));
        co_return verdicts;
    }
    [[nodiscard]] bool was_answered() const override { return answered_; }
    [[nodiscard]] bool lacks_chunking() const override { return misled_; }
    [[nodiscard]] bool usable() const override { return usable_ || begun_; }
    mailroot::smtp::Task<void> quit() override {
        hosts_.on_quit();
        co_await mailroot::smtp::pause(hosts_.quit_takes);
    }

 private:
    FakeHosts& hosts_;
    const std::string address_;
    int sent_ = 0;
    const bool misled_;
    bool usable_ = true;
    bool begun_ = false;
    bool answered_ = false;
};

inline mailroot::smtp::Task<mailroot::smtp::ConnectOutcome> FakeHosts::connect(
    mailroot::smtp::Endpoint endpoint) {
    ++connections;
    co_await mailroot::smtp::pause(greeting_takes);
    mailroot::smtp::ConnectOutcome outcome;
    const auto found = connect_codes.find(endpoint.address);
    if (found != connect_codes.end()) {
        outcome.failure = {mailroot::kind_of(found->second),
                           mailroot::reply(found->second, "", "connection refused"),
                           endpoint.address};
        outcome.login_failed = found->second == 535;
    } else {
        outcome.connection = std::make_unique<FakeConnection>(*this, endpoint);
    }
    co_return outcome;
}

/// A token endpoint: what it answers, and what it was asked.
class FakeWeb final : public mailroot::smtp::HttpClient {
 public:
    std::deque<mailroot::Result<mailroot::smtp::HttpAnswer>> answers;  ///< the last one stays
    std::vector<mailroot::smtp::HttpPost> posts;
    std::function<void()> asked = [] {};  ///< called before an answer

    mailroot::smtp::Task<mailroot::Result<mailroot::smtp::HttpAnswer>> post(
        mailroot::smtp::HttpPost post) override {
        posts.push_back(std::move(post));
        co_await mailroot::smtp::pause(std::chrono::milliseconds{1});
        asked();
        auto answer = answers.front();
        if (answers.size() > 1) answers.pop_front();
        co_return answer;
    }
};

/// All of delivery over a mailroot in a temporary folder, fake hosts and a fake name service.
struct DeliveryFixture : MailrootFixture {
    DeliveryFixture() {
        settings.hostname = "mx.here.example";
        settings.domains.default_domain = "here.example";
        resolver.zone = {{"there.example", "192.0.2.1"},
                         {"other.example", "192.0.2.2"},
                         {"twin.example", "192.0.2.1"}};
    }

    mailroot::config::Settings settings;
    HandClock hand_clock;
    EventRecorder log;
    mailroot::smtp::Loop loop;
    mailroot::smtp::Threads disk{2};
    std::mt19937 random{1};
    std::vector<mailroot::MessageId> accepted;
    mailroot::MessageIdSource message_ids{hand_clock, 0x5eed};
    mailroot::delivery::Context context{
        mailroot,    settings, hand_clock,
        message_ids, log,      loop,
        disk,        random,   [this](const mailroot::MessageId& id) { accepted.push_back(id); }};
    FakeResolver resolver;
    FakeHosts hosts;
    FakeWeb web;
    mailroot::delivery::Logins logins{context, web};
    mailroot::delivery::Router router{settings, resolver, random, logins, {}};
    mailroot::delivery::Destinations destinations{loop, hosts, settings.delivery};
    mailroot::delivery::Courier courier{context, router, destinations};

    /// Runs a coroutine, and closes the connections, to the end.
    void run(mailroot::smtp::Task<void> task) {
        auto all = [](DeliveryFixture& self,
                      mailroot::smtp::Task<void> first) -> mailroot::smtp::Task<void> {
            co_await std::move(first);
            co_await self.destinations.close();
            self.loop.stop();
        };
        mailroot::smtp::spawn(loop, all(*this, std::move(task)));
        loop.run();
        loop.restart();
    }
};
