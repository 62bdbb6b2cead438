#include "delivery/intake.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;

namespace {

Peer peer_at(const std::string& address, const std::string& helo) {
    Peer peer;
    peer.address = address;
    peer.loopback = address.starts_with("127.");
    peer.helo = helo;
    peer.extended = true;
    return peer;
}

const Peer k_loopback = peer_at("127.0.0.1", "client.example");
const Peer k_stranger = peer_at("192.0.2.9", "stranger.example");

Envelope envelope_for(const std::vector<Address>& recipients) {
    Envelope envelope;
    envelope.reverse_path = {"s", "a.example"};
    for (const auto& recipient : recipients)
        envelope.recipients.push_back({recipient, "", "", false});
    return envelope;
}

/// Hands a message over in portions of `portion` octets; gives the reply.
Reply hand_over(DeliveryFixture& fixture, const Peer& peer, const Envelope& envelope,
                const std::string& message, std::size_t portion) {
    SmtpIntake intake(fixture.context);
    Reply answer;
    auto task = [&]() -> smtp::Task<void> {
        const auto incoming = intake.begin(peer, envelope);
        for (std::size_t at = 0; at < message.size(); at += portion)
            co_await incoming->append(message.substr(at, portion));
        answer = co_await incoming->commit();
    };
    fixture.run(task());
    return answer;
}

}  // namespace

TEST_CASE_FIXTURE(DeliveryFixture, "only loopback may relay") {
    SmtpIntake intake(context);
    const Address local{"a", "here.example"}, remote{"a", "there.example"};
    CHECK(intake.check_recipient(k_loopback, {}, remote).code == 250);
    CHECK(intake.check_recipient(k_loopback, {}, local).code == 250);
    CHECK(intake.check_recipient(k_stranger, {}, local).code == 250);
    CHECK(intake.check_recipient(k_stranger, {}, {"postmaster", ""}).code == 250);
    CHECK(intake.check_recipient(k_stranger, {}, remote).text() ==
          "550 5.7.1 Unable to relay for a@there.example");
}

TEST_CASE_FIXTURE(DeliveryFixture, "an all local message becomes a Drop file at once") {
    const std::string message =
        "Date: Tue, 24 Nov 2026 01:48:12 +0000\r\nMessage-ID: <x@y>\r\nSubject: s\r\n\r\nbody\r\n";
    for (const std::size_t portion : {message.size(), std::size_t{1}, std::size_t{7}}) {
        CAPTURE(portion);
        const auto answer =
            hand_over(*this, k_loopback, envelope_for({{"a", "here.example"}, {"postmaster", ""}}),
                      message, portion);
        CHECK(answer.code == 250);
        CHECK(answer.text().find("@mx.here.example> Queued mail for delivery") !=
              std::string::npos);
        CHECK(names("Queue").empty());
        REQUIRE(names("Drop").size() == 1);
        const auto dropped = read("Drop/" + *names("Drop").begin());
        const std::string head =
            "x-sender: s@a.example\r\nx-receiver: a@here.example\r\nx-receiver: "
            "postmaster@here.example\r\nReceived: from client.example ([127.0.0.1]) by "
            "mx.here.example with ESMTP id ";
        CHECK(dropped.starts_with(head));
        CHECK(dropped.ends_with(message));
        std::filesystem::remove(scratch.path() / "Drop" / *names("Drop").begin());
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "what is submitted is completed, what passes is left as it is") {
    const std::string message = "Subject: s\r\nBcc: hidden@a.example\r\n\r\nbody\r\n";
    const auto to = envelope_for({{"a", "here.example"}});
    hand_over(*this, k_loopback, to, message, message.size());
    auto dropped = read("Drop/" + *names("Drop").begin());
    CHECK(dropped.find("\r\nMessage-ID: <") != std::string::npos);
    CHECK(dropped.find("\r\nDate: ") != std::string::npos);
    CHECK(dropped.find("hidden") == std::string::npos);
    std::filesystem::remove(scratch.path() / "Drop" / *names("Drop").begin());

    hand_over(*this, k_stranger, to, message, message.size());
    dropped = read("Drop/" + *names("Drop").begin());
    CHECK(dropped.ends_with(message));
    CHECK(dropped.find("Message-ID") == std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a message with a remote recipient waits in Queue") {
    const auto answer =
        hand_over(*this, k_loopback, envelope_for({{"a", "here.example"}, {"b", "there.example"}}),
                  "Subject: s\r\n\r\nbody\r\n", 100);
    CHECK(answer.code == 250);
    REQUIRE(accepted.size() == 1);
    CHECK(names("Queue") == std::set<std::string>{accepted[0].text() + ".eml"});
    CHECK(names("Drop").empty());
}

TEST_CASE_FIXTURE(DeliveryFixture, "a message without a header or without a body stays whole") {
    for (const auto* message :
         {"\r\nonly a body\r\n", "no header here\r\nat all\r\n", "Subject: no body\r\n", ""}) {
        CAPTURE(message);
        hand_over(*this, k_stranger, envelope_for({{"a", "here.example"}}), message, 3);
        REQUIRE(names("Drop").size() == 1);
        const auto dropped = read("Drop/" + *names("Drop").begin());
        CHECK(dropped.ends_with(message));
        std::filesystem::remove(scratch.path() / "Drop" / *names("Drop").begin());
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "a message that goes in circles is refused") {
    std::string header;
    for (int hop = 0; hop <= 15; ++hop) header += "Received: by hop\r\n";
    const auto to = envelope_for({{"a", "here.example"}});
    CHECK(hand_over(*this, k_stranger, to, header + "\r\nx\r\n", 1000).code == 554);
    CHECK(names("Drop").empty());
    const auto one_less = header.substr(header.find('\n') + 1);
    CHECK(hand_over(*this, k_stranger, to, one_less + "\r\nx\r\n", 1000).code == 250);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "whichever disk operation fails, there is no 250 and nothing stays") {
    const auto to = envelope_for({{"a", "here.example"}});
    const std::string message = "Subject: s\r\n\r\n" + std::string(600'000, 'x') + "\r\n";
    files.count = 0;
    REQUIRE(hand_over(*this, k_stranger, to, message, 50'000).code == 250);
    std::filesystem::remove(scratch.path() / "Drop" / *names("Drop").begin());
    const int steps = files.count;
    REQUIRE(steps >= 7);
    for (int step = 0; step < steps; ++step) {
        CAPTURE(files.steps[static_cast<std::size_t>(step)]);
        files.count = 0;
        files.fail_at = step;
        CHECK(hand_over(*this, k_stranger, to, message, 50'000).code == 451);
        files.fail_at = -1;
        CHECK(names("Drop").empty());
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "a message that is never finished leaves nothing") {
    SmtpIntake intake(context);
    auto task = [&]() -> smtp::Task<void> {
        const auto incoming = intake.begin(k_stranger, envelope_for({{"a", "here.example"}}));
        co_await incoming->append("Subject: s\r\n\r\n" + std::string(600'000, 'x'));
        CHECK(names("Drop").size() == 1);
    };
    run(task());
    disk.join();
    CHECK(names("Drop").empty());
}
