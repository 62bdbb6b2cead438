#include "delivery/called_mail.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <set>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

const std::string k_message = "Received: by x\r\nFrom: s@other.example\r\n\r\nbody\r\n";

using Texts = std::vector<std::string>;

Peer client_as(const std::string& user) {
    Peer peer;
    peer.address = "192.0.2.1";
    peer.user = user;
    return peer;
}

/// Its mail waits, and these users may fetch it.
config::RemoteDomain held_for(const Texts& users) {
    config::RemoteDomain domain;
    domain.triggered = true;
    domain.turn = users;
    return domain;
}

/// there.example waits until it is asked for, and the user `there` may fetch it.
struct Fixture : DeliveryFixture {
    Fixture() {
        settings.relay.authenticated = false;
        settings.domains.remote["there.example"] = held_for({"there"});
        settings.domains.remote["*.there.example"] = held_for({"there", "below"});
        resolver.zone["a.there.example"] = "192.0.2.3";
        called.emplace(context, queue, policy, attempts);
    }

    std::unique_ptr<Reactor> reactor = smtp::make_reactor(loop);
    PickupCourier pickup_courier{context, courier};
    smtp::TaskGroup attempts{loop, 10};
    QueueRunner queue{context, *reactor, courier, pickup_courier, attempts};
    RecipientPolicy policy{settings, *smtp::Networks::parse({"127.0.0.0/8"})};
    std::optional<CalledMail> called;

    MessageId waiting(const Texts& recipients) {
        std::string block = "x-sender: <s@here.example>\r\n";
        for (const auto& recipient : recipients) block += "x-receiver: <" + recipient + ">\r\n";
        return queued(block, k_message);
    }

    std::string etrn(const Peer& client, const std::string& node) {
        std::string text;
        auto task = [&]() -> smtp::Task<void> {
            const auto answer = co_await called->start_queue(client, node);
            text = answer.text();
        };
        run(task());
        return text;
    }

    std::string atrn(const std::string& user, const Texts& domains) {
        std::string text;
        const auto client = client_as(user);
        auto task = [&]() -> smtp::Task<void> {
            const auto answer = co_await called->check_turn(client, domains);
            text = answer.text();
        };
        run(task());
        return text;
    }

    void turn(const std::string& user, const Texts& domains) {
        const auto client = client_as(user);
        auto task = [&]() -> smtp::Task<void> {
            auto connection =
                std::make_unique<FakeConnection>(hosts, smtp::Endpoint{"turned", "turned"});
            co_await called->turn(client, domains, std::move(connection));
        };
        run(task());
    }

    /// Works off what ETRN asked for, once.
    void run_called() {
        auto task = [&]() -> smtp::Task<void> {
            smtp::TaskGroup running(loop, 1);
            running.start(called->run());
            while (log.lines.empty()) co_await smtp::pause(1ms);
            co_await attempts.idle();
            called->stop();
            co_await running.idle();
        };
        run(task());
        called.emplace(context, queue, policy, attempts);
    }

    Texts recipients_at(const std::string& address) {
        Texts found;
        for (const auto& delivered : hosts.delivered) {
            if (delivered.address != address) continue;
            for (const auto& recipient : delivered.envelope.recipients)
                found.push_back(recipient.address.text());
        }
        return found;
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "mail for a triggered domain waits, and asks nobody where it goes") {
    const auto id = waiting({"a@there.example"});
    auto task = [&]() -> smtp::Task<void> {
        auto message = folders::Queue(mailroot).claim(id, folders::held_from());
        REQUIRE((message && *message));
        const auto result = co_await courier.attempt(std::move(**message));
        CHECK(result.deferred == 1);
    };
    run(task());
    CHECK(hosts.connections == 0);
    CHECK(read("Queue/" + id.text() + ".json")
              .find("450 4.4.0 there.example: waits until its mail host asks for it") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "ETRN is for those who may relay, and for remote domains") {
    const auto stranger = client_as("");
    auto trusted = stranger;
    trusted.address = "127.0.0.1";
    CHECK(etrn(stranger, "there.example") ==
          "250 2.0.0 OK, queuing for node there.example started");
    CHECK(etrn(stranger, "@There.example") ==
          "250 2.0.0 OK, queuing for node @There.example started");
    CHECK(etrn(stranger, "other.example") == "459 4.7.1 Node other.example not allowed");
    CHECK(etrn(trusted, "other.example") == "250 2.0.0 OK, queuing for node other.example started");
    CHECK(etrn(trusted, "here.example") == "459 4.7.1 Node here.example not allowed");
    for (const auto* node : {"*.there.example", "#there", "a b", "@", "[192.0.2.1]"}) {
        CAPTURE(node);
        CHECK(etrn(trusted, node) == "501 5.5.4 Syntax: ETRN domain");
    }
}

TEST_CASE_FIXTURE(Fixture, "ETRN sends what waits for the node by its ordinary route") {
    waiting({"a@there.example"});
    const auto below = waiting({"b@a.there.example"});
    const auto other = waiting({"c@other.example"});
    CHECK(etrn(client_as(""), "there.example").starts_with("250"));
    run_called();
    CHECK(recipients_at("192.0.2.1") == Texts{"a@there.example"});
    CHECK(names("Queue") == std::set{below.text() + ".eml", other.text() + ".eml"});
}

TEST_CASE_FIXTURE(Fixture, "ETRN with an at sign sends what waits for the domains below, too") {
    waiting({"a@there.example", "b@a.there.example"});
    CHECK(etrn(client_as(""), "@there.example").starts_with("250"));
    run_called();
    CHECK(recipients_at("192.0.2.1") == Texts{"a@there.example"});
    CHECK(recipients_at("192.0.2.3") == Texts{"b@a.there.example"});
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(Fixture, "ATRN is for a user of the domains, if there is mail") {
    CHECK(atrn("there", {}) == "453 4.0.0 You have no mail");
    waiting({"a@there.example"});
    CHECK(atrn("there", {}) == "250 2.0.0 OK now reversing the connection");
    CHECK(atrn("there", {"THERE.example"}) == "250 2.0.0 OK now reversing the connection");
    CHECK(atrn("there", {"there.example", "other.example"}) == "450 4.7.1 ATRN request refused");
    CHECK(atrn("below", {}) == "453 4.0.0 You have no mail");
    CHECK(atrn("below", {"there.example"}) == "450 4.7.1 ATRN request refused");
    CHECK(atrn("nobody", {}) == "450 4.7.1 ATRN request refused");
}

TEST_CASE_FIXTURE(Fixture, "what was asked for goes over the connection that was turned around") {
    const auto first = waiting({"a@there.example", "b@a.there.example", "c@other.example"});
    const auto second = waiting({"d@there.example"});
    SUBCASE("all of the user's domains") {
        turn("there", {});
        CHECK(recipients_at("turned") ==
              Texts{"a@there.example", "b@a.there.example", "d@there.example"});
        CHECK(recipients_at("192.0.2.2") == Texts{"c@other.example"});
        CHECK(names("Queue").empty());
    }
    SUBCASE("only what was named") {
        turn("there", {"a.there.example"});
        CHECK(recipients_at("turned") == Texts{"b@a.there.example"});
        CHECK(read("Queue/" + first.text() + ".eml").find("x-receiver: <a@there.example>") !=
              std::string::npos);
    }
    SUBCASE("what is held stays") {
        const auto fd = files.open(mailroot.queue, first.text() + ".eml", os::Files::Access::write);
        REQUIRE(files.set_modified(*fd, folders::held_from()));
        turn("there", {});
        CHECK(recipients_at("turned") == Texts{"d@there.example"});
    }
    SUBCASE("a connection that is lost leaves the rest waiting") {
        hosts.lost_after = 1;
        turn("there", {"there.example"});
        CHECK(recipients_at("turned") == Texts{"a@there.example"});
        CHECK(names("Queue").size() >= 2);
        CHECK(files.info(mailroot.queue, second.text() + ".eml"));
    }
}

TEST_CASE_FIXTURE(Fixture, "mail of another user's domain is not fetched by a pattern") {
    settings.domains.remote["own.there.example"] = held_for({"own"});
    const auto id = waiting({"a@b.there.example", "x@own.there.example"});
    turn("below", {});
    CHECK(recipients_at("turned") == Texts{"a@b.there.example"});
    CHECK(read("Queue/" + id.text() + ".eml").find("x-receiver: <x@own.there.example>") !=
          std::string::npos);
    CHECK(atrn("below", {"*.there.example"}) == "450 4.7.1 ATRN request refused");
    CHECK(atrn("own", {}) == "250 2.0.0 OK now reversing the connection");
}

TEST_CASE_FIXTURE(Fixture, "asking again and again puts off no attempt") {
    const auto id = waiting({"a@there.example"});
    const auto due = hand_clock.time + 5min;
    {
        const auto fd = files.open(mailroot.queue, id.text() + ".eml", os::Files::Access::write);
        REQUIRE(files.set_modified(*fd, due));
    }
    hosts.connect_codes["192.0.2.1"] = 0;
    for (int i = 0; i < 3; ++i) {
        CHECK(etrn(client_as(""), "there.example").starts_with("250"));
        log.lines.clear();
        run_called();
        CHECK(log.lines == Texts{"deferred a@there.example"});
        CHECK(files.info(mailroot.queue, id.text() + ".eml")->modified == due);
    }
}

TEST_CASE_FIXTURE(Fixture, "many recipients go over a turned connection in several transactions") {
    Texts recipients;
    for (int i = 0; i < 250; ++i) recipients.push_back(std::to_string(i) + "@there.example");
    waiting(recipients);
    turn("there", {});
    CHECK(hosts.delivered.size() == 3);
    CHECK(recipients_at("turned") == recipients);
    CHECK(names("Queue").empty());
}
