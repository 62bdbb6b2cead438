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
    SmtpIntake intake(fixture.context, fixture.resolver, {});
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

/// The texts of the replies to these recipients.
std::vector<std::string> ask(DeliveryFixture& fixture, SmtpIntake& intake, const Peer& peer,
                             const std::vector<Address>& recipients) {
    std::vector<std::string> replies;
    const Envelope so_far;
    auto task = [&]() -> smtp::Task<void> {
        for (const auto& address : recipients) {
            const Recipient recipient{address, "", "", false};
            const auto answer = co_await intake.check_recipient(peer, so_far, recipient);
            replies.push_back(answer.text());
        }
    };
    fixture.run(task());
    return replies;
}

smtp::Networks networks(const std::vector<std::string>& texts) {
    return *smtp::Networks::parse(texts);
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE_FIXTURE(DeliveryFixture, "local recipients are everybody's, others for who may relay") {
    settings.domains.aliases = {"*.alias.example"};
    SmtpIntake intake(context, resolver, networks({"127.0.0.0/8"}));
    const std::vector<Address> recipients{{"a", "here.example"},
                                          {"a", "x.alias.example"},
                                          {"postmaster", ""},
                                          {"a", "there.example"}};
    Texts all{"250 2.1.5 a@here.example", "250 2.1.5 a@x.alias.example", "250 2.1.5 postmaster",
              "250 2.1.5 a@there.example"};
    CHECK(ask(*this, intake, k_loopback, recipients) == all);
    auto user = k_stranger;
    user.user = "joe";
    CHECK(ask(*this, intake, user, recipients) == all);
    all.back() = "550 5.7.1 Unable to relay for a@there.example";
    CHECK(ask(*this, intake, k_stranger, recipients) == all);
    settings.relay.authenticated = false;
    CHECK(ask(*this, intake, user, recipients) == all);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a stranger may not name a way through us") {
    SmtpIntake intake(context, resolver, networks({"127.0.0.0/8"}));
    const std::vector<Address> routed{{"a%there.example", "here.example"},
                                      {"there.example!a", "here.example"},
                                      {"\"a@there.example\"", "here.example"}};
    for (const auto& text : ask(*this, intake, k_stranger, routed)) {
        CHECK(text.starts_with("550 5.7.1 Unable to relay for "));
    }
    for (const auto& text : ask(*this, intake, k_loopback, routed)) CHECK(text.starts_with("250"));
}

TEST_CASE_FIXTURE(DeliveryFixture, "a remote domain may be open to everybody") {
    settings.domains.remote["there.example"].relay = true;
    settings.domains.remote["other.example"].relay = false;
    SmtpIntake intake(context, resolver, {});
    CHECK(ask(*this, intake, k_stranger,
              {{"a", "There.example"}, {"a", "other.example"}, {"a%b.example", "there.example"}}) ==
          Texts{"250 2.1.5 a@There.example", "550 5.7.1 Unable to relay for a@other.example",
                "550 5.7.1 Unable to relay for a%b.example@there.example"});
}

TEST_CASE_FIXTURE(DeliveryFixture, "our own address as a literal stands for the default domain") {
    SmtpIntake intake(context, resolver, {});
    auto client = k_stranger;
    client.server_address = "192.0.2.25";
    CHECK(ask(*this, intake, client, {{"a", "[192.0.2.25]"}, {"a", "[192.0.2.26]"}}) ==
          Texts{"250 2.1.5 a@[192.0.2.25]", "550 5.7.1 Unable to relay for a@[192.0.2.26]"});
    auto task = [&]() -> smtp::Task<void> {
        const auto incoming = intake.begin(client, envelope_for({{"a", "[192.0.2.25]"}}));
        co_await incoming->append("Subject: s\r\n\r\nbody\r\n");
        co_await incoming->commit();
    };
    run(task());
    REQUIRE(names("Drop").size() == 1);
    CHECK(read("Drop/" + *names("Drop").begin()).find("x-receiver: a@here.example\r\n") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "where there is a list, who is not on it is unknown") {
    auto list = RecipientList::parse("# staff\nInfo\n\nsales@here.example\r\n", "here.example");
    REQUIRE(list);
    auto lists = std::make_shared<RecipientLists>();
    lists->emplace("here.example", *list);
    settings.domains.aliases = {"open.example"};
    SmtpIntake intake(context, resolver, {});
    intake.use(lists);
    CHECK(ask(*this, intake, k_stranger,
              {{"info", "Here.Example"},
               {"Sales", "here.example"},
               {"x", "here.example"},
               {"Postmaster", "here.example"},
               {"\"sa\\les\"", "here.example"},
               {"x", "open.example"}}) ==
          Texts{"250 2.1.5 info@Here.Example", "250 2.1.5 Sales@here.example",
                "550 5.1.1 User unknown: x@here.example", "250 2.1.5 Postmaster@here.example",
                "250 2.1.5 \"sa\\les\"@here.example", "250 2.1.5 x@open.example"});

    const auto elsewhere = RecipientList::parse("a\nb@there.example\n", "here.example");
    REQUIRE_FALSE(elsewhere);
    CHECK(elsewhere.error().what == "line 2: 'b@there.example' is not in here.example");
    const auto none = RecipientList::parse("a b\n", "here.example");
    REQUIRE_FALSE(none);
    CHECK(none.error().what == "line 1: 'a b' is no address");
}

TEST_CASE_FIXTURE(DeliveryFixture, "a full Drop takes nothing, the Queue still does") {
    settings.drop.quota = 1000;
    SmtpIntake intake(context, resolver, networks({"127.0.0.0/8"}));
    const std::vector<Address> both{{"a", "here.example"}, {"a", "there.example"}};
    CHECK(ask(*this, intake, k_loopback, both) ==
          Texts{"250 2.1.5 a@here.example", "250 2.1.5 a@there.example"});
    auto task = [&]() -> smtp::Task<void> {
        const auto incoming = intake.begin(k_loopback, envelope_for({{"a", "here.example"}}));
        co_await incoming->append("Subject: s\r\n\r\n" + std::string(1000, 'x') + "\r\n");
        co_await incoming->commit();
    };
    run(task());
    CHECK(ask(*this, intake, k_loopback, both) ==
          Texts{"452 4.2.2 Mailbox Full", "250 2.1.5 a@there.example"});
    SmtpIntake another(context, resolver, {});  // which has to look
    CHECK(ask(*this, another, k_stranger, {{"a", "here.example"}}) ==
          Texts{"452 4.2.2 Mailbox Full"});
}

TEST_CASE_FIXTURE(DeliveryFixture, "a disk with too little room takes no message") {
    const auto envelope = envelope_for({});
    const auto reply_to = [&](std::uint64_t announced) {
        SmtpIntake intake(context, resolver, {});
        std::string text;
        auto task = [&]() -> smtp::Task<void> {
            const auto answer = co_await intake.check_sender(k_stranger, envelope, announced);
            text = answer.text();
        };
        run(task());
        return text;
    };
    settings.limits.min_free = 1000;
    files.left = os::Space{3000, true};
    CHECK(reply_to(2000) == "250 2.1.0 s@a.example....Sender OK");
    CHECK(reply_to(2001) == "452 4.3.1 Insufficient system storage");
    files.left = os::Space{3000, false};
    CHECK(reply_to(0) == "452 4.3.1 Insufficient system storage");
    settings.limits.min_free = 0;
    CHECK(reply_to(0) == "250 2.1.0 s@a.example....Sender OK");
}

TEST_CASE_FIXTURE(DeliveryFixture, "who asks while the disk is looked at is not turned away") {
    settings.limits.min_free = 1000;
    SmtpIntake intake(context, resolver, {});
    const auto envelope = envelope_for({});
    Texts replies;
    auto ask = [&]() -> smtp::Task<void> {
        const auto answer = co_await intake.check_sender(k_stranger, envelope, 0);
        replies.push_back(answer.text());
    };
    smtp::TaskGroup both(loop, 2);
    both.start(ask());
    both.start(ask());
    run(both.idle());
    CHECK(replies == Texts(2, "250 2.1.0 s@a.example....Sender OK"));
}

TEST_CASE_FIXTURE(DeliveryFixture, "DNS says who a client is, and whether it is on a blocklist") {
    settings.access.reverse_lookup = true;
    settings.access.blocklists = {"first.example", "second.example", "ill.example"};
    resolver.pointers = {{"9.2.0.192.in-addr.arpa", "mx.client.example"},
                         {"10.2.0.192.in-addr.arpa", "mx.liar.example"}};
    resolver.zone["client.example"] = "192.0.2.9";
    resolver.zone["liar.example"] = "192.0.2.99";
    resolver.zone["2.0.192.second.example"] = "127.0.0.2";  // of 10.2.0.192…
    resolver.zone["2.0.192.ill.example"] = "127.255.255.254";
    SmtpIntake intake(context, resolver, networks({"192.0.2.77"}));
    const auto examined = [&](const std::string& address) {
        Peer peer;
        auto task = [&]() -> smtp::Task<void> {
            peer = co_await intake.examine(peer_at(address, ""));
        };
        run(task());
        return peer;
    };
    resolver.zone.erase("2.0.192.second.example");
    auto peer = examined("192.0.2.9");
    CHECK(peer.name == "mx.client.example");
    CHECK(peer.blocklist == "");
    resolver.zone["2.0.192.second.example"] = "127.0.0.2";
    peer = examined("192.0.2.10");
    CHECK(peer.name == "");
    CHECK(peer.blocklist == "second.example");
    CHECK(examined("192.0.2.77").blocklist == "");

    const std::string refusal =
        "554 5.7.1 Service unavailable; client [192.0.2.10] blocked using second.example";
    CHECK(ask(*this, intake, peer, {{"a", "here.example"}, {"postmaster", "here.example"}}) ==
          Texts{refusal, "250 2.1.5 postmaster@here.example"});
    peer.user = "joe";
    CHECK(ask(*this, intake, peer, {{"a", "there.example"}}) == Texts{"250 2.1.5 a@there.example"});
}

TEST_CASE_FIXTURE(DeliveryFixture, "Received says by which protocol a message came") {
    struct {
        bool extended, tls, user, utf8;
        std::string protocol;
    } const rows[] = {
        {false, false, false, false, "SMTP"},   {true, false, false, false, "ESMTP"},
        {true, true, false, false, "ESMTPS"},   {true, false, true, false, "ESMTPA"},
        {true, true, true, false, "ESMTPSA"},   {true, false, false, true, "UTF8SMTP"},
        {true, true, true, true, "UTF8SMTPSA"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.protocol);
        auto client = k_stranger;
        client.extended = row.extended;
        if (row.tls) client.tls_protocol = "TLSv1.3";
        if (row.tls) client.tls_cipher = "TLS_AES_256_GCM_SHA384";
        if (row.user) client.user = "joe";
        auto envelope = envelope_for({{"a", "here.example"}});
        envelope.utf8 = row.utf8;
        hand_over(*this, client, envelope, "Subject: s\r\n\r\nbody\r\n", 100);
        const auto file = "Drop/" + *names("Drop").begin();
        const auto dropped = read(file);
        CHECK(dropped.find(" with " + row.protocol + " id ") != std::string::npos);
        CHECK((dropped.find("(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)") !=
               std::string::npos) == row.tls);
        CHECK((dropped.find("\r\nMessage-ID: <") != std::string::npos) == row.user);
        std::filesystem::remove(scratch.path() / file);
    }
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a binary message that ends in no line can be taken from Queue") {
    auto envelope = envelope_for({{"a", "there.example"}});
    envelope.body = Body::binary_mime;
    const std::string message("Subject: s\r\n\r\n\0\n\r.\r\nx", 21);
    CHECK(hand_over(*this, k_loopback, envelope, message, 4).code == 250);
    REQUIRE(accepted.size() == 1);
    CHECK(read("Queue/" + accepted[0].text() + ".eml").ends_with(message.substr(10)));
    const auto claimed = folders::Queue(mailroot).claim(accepted[0], folders::whenever_due());
    REQUIRE(claimed);
    CHECK(claimed->has_value());
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

TEST_CASE_FIXTURE(DeliveryFixture, "where success is to be reported it goes by way of Queue") {
    auto envelope = envelope_for({{"a", "here.example"}});
    envelope.recipients[0].notify = "SUCCESS";
    const std::string message = "Subject: s\r\n\r\nbody\r\n";
    CHECK(hand_over(*this, k_loopback, envelope, message, message.size()).code == 250);
    CHECK(names("Drop").empty());
    REQUIRE(accepted.size() == 1);
    CHECK(
        read("Queue/" + accepted[0].text() + ".eml").find("<a@here.example> NOTIFY=SUCCESS\r\n") !=
        std::string::npos);
    envelope.reverse_path = {};
    CHECK(hand_over(*this, k_loopback, envelope, message, message.size()).code == 250);
    CHECK(names("Drop").size() == 1);
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

TEST_CASE_FIXTURE(DeliveryFixture, "who is named twice has one copy") {
    const auto peer = k_loopback;
    const auto envelope = envelope_for({{"a", "there.example"},
                                        {"a", "THERE.example"},
                                        {"b", ""},
                                        {"b", "here.example"},
                                        {"a", "there.example"}});
    CHECK(hand_over(*this, peer, envelope, "Subject: s\r\n\r\nx\r\n", 1000).code == 250);
    REQUIRE(names("Queue").size() == 1);
    const auto id = MessageId::parse(names("Queue").begin()->substr(0, 24));
    REQUIRE(id);
    const auto message = folders::Queue(mailroot).claim(*id, folders::held_from());
    REQUIRE((message && *message));
    CHECK((*message)->envelope().recipients.size() == 2);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a header that is too long is cut where a field begins") {
    std::string header = "Subject: s\r\n";
    for (int i = 0; header.size() < 300'000; ++i)
        header += "X-" + std::string(3000, 'a') + ": v\r\n";
    const auto message = header + "\r\nbody\r\n";
    CHECK(
        hand_over(*this, k_stranger, envelope_for({{"a", "here.example"}}), message, 16'000).code ==
        250);
    CHECK(read("Drop/" + *names("Drop").begin()).ends_with("\r\n" + message));
    const auto shapeless = std::string(300'000, 'x') + "\r\n\r\nbody\r\n";
    CHECK(hand_over(*this, k_stranger, envelope_for({{"a", "there.example"}}), shapeless, 16'000)
              .code == 250);
    CHECK(read("Queue/" + *names("Queue").begin()).ends_with("\r\n\r\n" + shapeless));
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
    SmtpIntake intake(context, resolver, {});
    auto task = [&]() -> smtp::Task<void> {
        const auto incoming = intake.begin(k_stranger, envelope_for({{"a", "here.example"}}));
        co_await incoming->append("Subject: s\r\n\r\n" + std::string(600'000, 'x'));
        CHECK(names("Drop").size() == 1);
    };
    run(task());
    disk.join();
    CHECK(names("Drop").empty());
}
