#pragma once

#include "core/event_log.hpp"

#include <string>
#include <vector>

/// Keeps what a server says of its sessions and of itself, and prints nothing.
class QuietLog final : public mailroot::EventLog {
 public:
    void received(const mailroot::MessageId&, const mailroot::Envelope&, std::uint64_t,
                  const mailroot::Peer&) override {}
    void picked_up(const mailroot::MessageId&, std::string_view, const mailroot::Envelope&,
                   std::string_view) override {}
    void attempted(const mailroot::MessageId&, const mailroot::Address&, const mailroot::Verdict&,
                   std::optional<mailroot::TimePoint>) override {}
    void reported(const mailroot::MessageId&, const mailroot::MessageId&,
                  const mailroot::Address&) override {}
    void badmailed(const mailroot::MessageId&, std::string_view) override {}
    void settled(const mailroot::MessageId&) override {}
    void set_aside(std::string_view, const mailroot::Error&) override {}
    void connected(const mailroot::Peer& client) override { note(client, "connected"); }
    void turned_away(const mailroot::Peer& client, const mailroot::Reply& why) override {
        note(client, "turned away " + std::to_string(why.code));
    }
    void encrypted(const mailroot::Peer& client) override {
        note(client, "encrypted " + client.tls_protocol);
    }
    void encryption_failed(const mailroot::Peer& client, std::string_view) override {
        note(client, "encryption failed");
    }
    void authenticated(const mailroot::Peer& client, std::string_view mechanism) override {
        note(client, "is " + client.user + " by " + std::string(mechanism));
    }
    void authentication_failed(const mailroot::Peer& client, std::string_view mechanism,
                               std::string_view name) override {
        note(client, "is not " + std::string(name) + " by " + std::string(mechanism));
    }
    void command(const mailroot::Peer& client, const mailroot::SmtpCommand& command) override {
        note(client, std::string(command.line) + ' ' + std::to_string(command.reply.code));
        octets += command.octets;
    }
    void disconnected(const mailroot::Peer& client, const mailroot::SessionEnd& end) override {
        note(client, std::string(end.how));
        ends.push_back({"", end.received, end.sent, end.messages, end.lasted});
    }
    void notice(std::string_view) override {}
    void warning(std::string_view what) override { warnings.emplace_back(what); }

    std::vector<std::string> sessions;  ///< each event with the client's address
    std::vector<mailroot::SessionEnd> ends;
    std::uint64_t octets = 0;  ///< of all commands
    std::vector<std::string> warnings;

 private:
    void note(const mailroot::Peer& client, const std::string& what) {
        sessions.push_back(client.address + ' ' + what);
    }
};
