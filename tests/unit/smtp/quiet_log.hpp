#pragma once

#include "core/event_log.hpp"

#include <string>
#include <vector>

/// Keeps what a server says of its sessions and of itself, and prints nothing.
class QuietLog final : public mailroot::EventLog {
 public:
    void received(const mailroot::MessageId&, const mailroot::Envelope&, std::uint64_t,
                  std::string_view) override {}
    void picked_up(const mailroot::MessageId&, std::string_view, const mailroot::Envelope&,
                   std::string_view) override {}
    void attempted(const mailroot::MessageId&, const mailroot::Address&, const mailroot::Verdict&,
                   std::optional<mailroot::TimePoint>) override {}
    void reported(const mailroot::MessageId&, const mailroot::MessageId&,
                  const mailroot::Address&) override {}
    void badmailed(const mailroot::MessageId&, std::string_view) override {}
    void settled(const mailroot::MessageId&) override {}
    void set_aside(std::string_view, const mailroot::Error&) override {}
    void session(std::string_view client, std::string_view what) override {
        sessions.push_back(std::string(client) + ' ' + std::string(what));
    }
    void notice(std::string_view) override {}
    void warning(std::string_view what) override { warnings.emplace_back(what); }

    std::vector<std::string> sessions;
    std::vector<std::string> warnings;
};
