#include "delivery/courier.hpp"

#include "delivery/delivery_fixture.hpp"
#include "message/mime_text.hpp"
#include "message/received.hpp"
#include "message/utf8.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <set>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

const std::string k_message =
    "Received: by x\r\nFrom: s@here.example\r\nSubject: s\r\n\r\nbody\r\n";

std::string block(const std::string& sender, const std::vector<std::string>& recipients) {
    std::string text = "x-sender: <" + sender + ">\r\n";
    for (const auto& recipient : recipients) text += "x-receiver: <" + recipient + ">\r\n";
    return text;
}

AttemptResult attempt(DeliveryFixture& fixture, const MessageId& id) {
    AttemptResult result;
    auto task = [&]() -> smtp::Task<void> {
        auto message = folders::Queue(fixture.mailroot).claim(id, folders::held_from());
        REQUIRE((message && *message));
        result = co_await fixture.courier.attempt(std::move(**message));
    };
    fixture.run(task());
    return result;
}

}  // namespace

TEST_CASE_FIXTURE(DeliveryFixture, "a message goes to each domain's host once and is gone") {
    const auto id = queued(block("s@here.example", {"a@there.example", "b@other.example",
                                                    "c@there.example", "d@twin.example"}),
                           k_message);
    const auto result = attempt(*this, id);
    CHECK(result.delivered == 4);
    CHECK(names("Queue").empty());
    // Two domains with the same hosts share a transaction.
    REQUIRE(hosts.delivered.size() == 2);
    for (const auto& delivered : hosts.delivered) {
        CHECK(delivered.message == k_message);
        CHECK(delivered.envelope.recipients.size() == (delivered.address == "192.0.2.1" ? 3 : 1));
        CHECK(delivered.envelope.reverse_path.text() == "s@here.example");
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "local recipients share one Drop file, others go out") {
    const auto id =
        queued(block("s@there.example", {"a@here.example", "b@there.example", "c@here.example"}),
               k_message);
    CHECK(attempt(*this, id).delivered == 3);
    CHECK(names("Queue").empty());
    CHECK(read("Drop/" + id.text() + ".eml") ==
          "x-sender: s@there.example\r\nx-receiver: a@here.example\r\nx-receiver: "
          "c@here.example\r\n" +
              k_message);
    CHECK(hosts.delivered.size() == 1);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a 4xx to one recipient leaves the others delivered") {
    hosts.recipient_codes["b@there.example"] = 451;
    const auto id =
        queued(block("s@here.example", {"a@there.example", "b@there.example"}), k_message);
    const auto result = attempt(*this, id);
    CHECK(result.delivered == 1);
    CHECK(result.deferred == 1);
    CHECK(read("Queue/" + id.text() + ".eml").find("x-received: <a@there.example>") !=
          std::string::npos);
    REQUIRE(result.next_attempt);
    CHECK(*result.next_attempt >= hand_clock.time + 13min);
    CHECK(*result.next_attempt <= hand_clock.time + 17min);
    CHECK(files.info(mailroot.queue, id.text() + ".eml")->modified == *result.next_attempt);
    CHECK(read("Queue/" + id.text() + ".json").find("451 said the host") != std::string::npos);

    // The second attempt is for the one that is left.
    hosts.recipient_codes.clear();
    hosts.delivered.clear();
    CHECK(attempt(*this, id).delivered == 1);
    REQUIRE(hosts.delivered.size() == 1);
    CHECK(hosts.delivered[0].envelope.recipients[0].address.text() == "b@there.example");
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(DeliveryFixture, "a refused recipient is reported to a local sender in Drop") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id =
        queued(block("s@here.example", {"a@there.example", "b@there.example"}), k_message);
    const auto result = attempt(*this, id);
    CHECK(result.delivered == 1);
    CHECK(result.failed == 1);
    CHECK(names("Queue").empty());
    REQUIRE(names("Drop").size() == 1);
    const auto report = read("Drop/" + *names("Drop").begin());
    CHECK(report.starts_with("x-sender: <>\r\nx-receiver: s@here.example\r\nReceived: by "));
    CHECK(report.find("Final-Recipient: rfc822;b@there.example") != std::string::npos);
    CHECK(report.find("a@there.example") == std::string::npos);
    CHECK(report.find(k_message) != std::string::npos);
    CHECK(log.has("reported s@here.example"));
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a message comes back whole up to a size, and where no less was asked for") {
    hosts.recipient_codes["b@there.example"] = 550;
    struct Row {
        const char* ret;
        std::uint64_t max_size;
        bool whole;
    };
    for (const auto& row :
         {Row{"", k_message.size(), true}, Row{"", k_message.size() - 1, false}, Row{"", 0, true},
          Row{" RET=HDRS", 0, false}, Row{" RET=FULL", 0, true}}) {
        CAPTURE(row.ret);
        CAPTURE(row.max_size);
        settings.ndr.max_size = row.max_size;
        const auto id = queued("x-sender: <s@here.example>" + std::string(row.ret) +
                                   "\r\nx-receiver: <b@there.example>\r\n",
                               k_message);
        CHECK(attempt(*this, id).failed == 1);
        const auto name = "Drop/" + *names("Drop").begin();
        const auto report = read(name);
        CHECK((report.find("\r\nbody\r\n") != std::string::npos) == row.whole);
        CHECK((report.find("text/rfc822-headers\r\n\r\nReceived: by x\r\n") != std::string::npos) ==
              !row.whole);
        std::filesystem::remove(scratch.path() / name);
    }
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a message beyond ASCII comes back in base64 to a sender in ASCII") {
    hosts.recipient_codes["jörg@there.example"] = 550;
    const std::string message = "Received: by x\r\nFrom: s\r\nSubject: grüße\r\n\r\nbody\r\n";
    const auto id = queued(
        "x-sender: <s@other.example> SMTPUTF8 BODY=8BITMIME\r\nx-receiver: "
        "<jörg@there.example>\r\n",
        message);
    CHECK(attempt(*this, id).failed == 1);
    const auto report = read("Queue/" + accepted.at(0).text() + ".eml");
    CHECK(message::is_ascii(report));
    CHECK(report.starts_with("x-sender: <>\r\nx-receiver: <s@other.example>\r\n"));
    message::Base64Lines lines;
    auto in_base64 = lines.feed(message);
    in_base64 += lines.finish();
    CHECK(report.find("Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                      in_base64 + "\r\n--") != std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a report to a sender beyond ASCII asks for SMTPUTF8") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id = queued(
        "x-sender: <jörg@other.example> SMTPUTF8\r\nx-receiver: <b@there.example>\r\n", k_message);
    CHECK(attempt(*this, id).failed == 1);
    const auto report = read("Queue/" + accepted.at(0).text() + ".eml");
    CHECK(report.starts_with(
        "x-sender: <> BODY=8BITMIME SMTPUTF8\r\nx-receiver: <jörg@other.example>\r\n"));
    CHECK(report.find("Content-Type: message/global\r\n\r\n" + k_message) != std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a report to a remote sender waits in Queue") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id = queued(block("s@other.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, id).failed == 1);
    REQUIRE(accepted.size() == 1);
    CHECK(names("Queue") == std::set<std::string>{accepted[0].text() + ".eml"});
    CHECK(read("Queue/" + accepted[0].text() + ".eml")
              .starts_with("x-sender: <>\r\nx-receiver: <s@other.example>\r\nReceived: by "));
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "what has nobody to return to goes to Badmail with its reasons") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id = queued(block("", {"a@there.example", "b@there.example"}), k_message);
    const auto result = attempt(*this, id);
    CHECK(result.badmail == 1);
    CHECK(names("Queue").empty());
    CHECK(names("Drop").empty());
    CHECK(names("Badmail") ==
          std::set<std::string>{id.text() + ".bad", id.text() + ".bdp", id.text() + ".bdr"});
    CHECK(read("Badmail/" + id.text() + ".bad") == block("", {"b@there.example"}) + k_message);
    CHECK(read("Badmail/" + id.text() + ".bdr").find("550 said the host") != std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a copy of each failure report goes to who asked for it") {
    hosts.recipient_codes["b@there.example"] = 550;
    settings.ndr.copy_to = "postmaster";
    const auto to_local = queued(block("s@here.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, to_local).failed == 1);
    REQUIRE(names("Drop").size() == 1);
    const auto dropped = read("Drop/" + *names("Drop").begin());
    CHECK(
        dropped.starts_with("x-sender: <>\r\nx-receiver: s@here.example\r\n"
                            "x-receiver: postmaster@here.example\r\nReceived: by "));
    CHECK(dropped.find("\r\nReply-To: postmaster@here.example\r\n") != std::string::npos);

    // One message, and of the copy no other comes.
    const auto to_remote = queued(block("s@other.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, to_remote).failed == 1);
    CHECK(read("Queue/" + accepted.at(0).text() + ".eml")
              .starts_with("x-sender: <>\r\nx-receiver: <s@other.example>\r\n"
                           "x-receiver: <postmaster@here.example> NOTIFY=NEVER\r\n"));

    // Whom it is about needs no copy, and a delay is no failure.
    const auto to_itself = queued(block("postmaster@here.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, to_itself).failed == 1);
    REQUIRE(names("Drop").size() == 2);
    CHECK(read("Drop/" + *names("Drop").rbegin())
              .starts_with("x-sender: <>\r\nx-receiver: postmaster@here.example\r\nReceived: "));
    hosts.recipient_codes["b@there.example"] = 451;
    const auto late = queued(block("s@here.example", {"b@there.example"}), k_message);
    hand_clock.time += 13h;
    CHECK(attempt(*this, late).deferred == 1);
    REQUIRE(names("Drop").size() == 3);
    CHECK(read("Drop/" + *names("Drop").rbegin()).find("postmaster@here.example\r\nx-") ==
          std::string::npos);
    CHECK(read("Drop/" + *names("Drop").rbegin()).find("Reply-To") == std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "who was sent too many reports is sent no more, and nothing is lost") {
    settings.ndr.rate = {1, 1h};
    hosts.recipient_codes["b@there.example"] = 550;
    const auto first = queued(block("s@here.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, first).badmail == 0);
    const auto second = queued(block("S@here.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, second).badmail == 1);
    CHECK(names("Drop").size() == 1);
    CHECK(names("Queue").empty());
    CHECK(read("Badmail/" + second.text() + ".bad") ==
          block("S@here.example", {"b@there.example"}) + k_message);
    CHECK(read("Badmail/" + second.text() + ".bdp").find("tooManyReports") != std::string::npos);
    CHECK(log.has("warning " + second.text() +
                  ": not reported to S@here.example, who was sent 1/h already"));

    // Another has his own, and what did not fail is simply not told.
    const auto other = queued(block("t@here.example", {"b@there.example"}), k_message);
    CHECK(attempt(*this, other).badmail == 0);
    CHECK(names("Drop").size() == 2);
    hosts.recipient_codes["b@there.example"] = 451;
    const auto late = queued(
        "x-sender: <t@here.example>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS\r\n"
        "x-receiver: <b@there.example>\r\n",
        k_message);
    settings.delivery.delay_notice = 1min;
    hand_clock.time += 2min;
    CHECK(attempt(*this, late).delivered == 1);
    CHECK(names("Drop").size() == 2);
    CHECK(names("Badmail").size() == 3);
    hand_clock.time += 1h;
    CHECK(attempt(*this, late).deferred == 1);
    CHECK(names("Drop").size() == 2);
}

TEST_CASE_FIXTURE(DeliveryFixture, "NOTIFY=NEVER fails in silence") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id = queued(
        "x-sender: <s@here.example>\r\nx-receiver: <b@there.example> NOTIFY=NEVER\r\n", k_message);
    CHECK(attempt(*this, id).failed == 1);
    CHECK(names("Queue").empty());
    CHECK(names("Drop").empty());
    CHECK(names("Badmail").empty());
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a domain that does not exist fails, a silent name server defers") {
    const auto id = queued(block("s@here.example", {"a@nowhere.example"}), k_message);
    resolver.temporary = true;
    CHECK(attempt(*this, id).deferred == 1);
    resolver.temporary = false;
    CHECK(attempt(*this, id).failed == 1);
    CHECK(read("Drop/" + *names("Drop").begin()).find("Status: 5.1.2") != std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a message is given up for its age only after it was tried") {
    hosts.connect_codes["192.0.2.1"] = 0;
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    hand_clock.time += 47h;
    CHECK(attempt(*this, id).deferred == 1);
    hand_clock.time += 2h;
    CHECK(attempt(*this, id).failed == 1);
    CHECK(read("Drop/" + *names("Drop").begin()).find("Status: 4.4.7") != std::string::npos);

    // A long outage of ours expires nothing untried.
    const auto late = queued(block("s@here.example", {"a@other.example"}), k_message);
    hand_clock.time += 240h;
    CHECK(attempt(*this, late).delivered == 1);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "local recipients are tried again and given up by their own times") {
    settings.delivery.local_retry = {1min};
    settings.delivery.local_expire = 6h;
    hosts.recipient_codes["b@there.example"] = 451;
    std::filesystem::remove(scratch.path() / "Drop");
    const auto id =
        queued(block("s@other.example", {"a@here.example", "b@there.example"}), k_message);
    auto result = attempt(*this, id);
    CHECK(result.deferred == 2);
    CHECK(*result.next_attempt <= hand_clock.time + 70s);

    hand_clock.time += 7h;
    result = attempt(*this, id);
    CHECK(result.failed == 1);
    CHECK(result.deferred == 1);
    const auto report = read("Queue/" + accepted.at(0).text() + ".eml");
    CHECK(report.find("Final-Recipient: rfc822;a@here.example") != std::string::npos);
    CHECK(report.find("b@there.example") == std::string::npos);
    // What is left is for another host.
    CHECK(*result.next_attempt >= hand_clock.time + 27min);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a sender is told of a delay once, of those who may be told of") {
    for (const auto* address : {"a@there.example", "b@there.example", "c@there.example"})
        hosts.recipient_codes[address] = 451;
    const auto id = queued(
        "x-sender: <s@here.example>\r\nx-receiver: <a@there.example>\r\n"
        "x-receiver: <b@there.example> NOTIFY=FAILURE\r\n"
        "x-receiver: <c@there.example> NOTIFY=DELAY\r\n",
        k_message);
    hand_clock.time += 11h;
    CHECK(attempt(*this, id).deferred == 3);
    CHECK(names("Drop").empty());
    hand_clock.time += 2h;
    CHECK(attempt(*this, id).deferred == 3);
    REQUIRE(names("Drop").size() == 1);
    const auto report = read("Drop/" + *names("Drop").begin());
    CHECK(report.find("Subject: Delivery Status Notification (Delay)") != std::string::npos);
    CHECK(report.find("Final-Recipient: rfc822;a@there.example\r\nAction: delayed") !=
          std::string::npos);
    CHECK(report.find("c@there.example\r\nAction: delayed") != std::string::npos);
    CHECK(report.find("b@there.example") == std::string::npos);
    CHECK(report.find("Will-Retry-Until: " + message::date_text(id.arrival() + 48h)) !=
          std::string::npos);
    CHECK(report.find("text/rfc822-headers") != std::string::npos);
    CHECK(report.find("body") == std::string::npos);
    hand_clock.time += 2h;
    CHECK(attempt(*this, id).deferred == 3);
    CHECK(names("Drop").size() == 1);

    // One who fails meanwhile is told of in the same report as another who is late.
    hosts.recipient_codes["d@there.example"] = 451;
    hosts.recipient_codes["e@there.example"] = 550;
    const auto mixed =
        queued(block("s@here.example", {"d@there.example", "e@there.example"}), k_message);
    hand_clock.time += 13h;
    CHECK(attempt(*this, mixed).failed == 1);
    REQUIRE(names("Drop").size() == 2);
    const auto both = read("Drop/" + *names("Drop").rbegin());
    CHECK(both.find("Subject: Delivery Status Notification (Failure)") != std::string::npos);
    CHECK(both.find("d@there.example\r\nAction: delayed") != std::string::npos);
    CHECK(both.find("e@there.example\r\nAction: failed") != std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "nobody is told of the delay of a report") {
    hosts.recipient_codes["a@there.example"] = 451;
    const auto id = queued(block("", {"a@there.example"}), k_message);
    hand_clock.time += 13h;
    CHECK(attempt(*this, id).deferred == 1);
    CHECK(names("Drop").empty());
    CHECK(names("Badmail").empty());
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a delay that could not be told of is told at the next attempt") {
    hosts.recipient_codes["a@there.example"] = 451;
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    const auto drop = scratch.path() / "Drop";
    std::filesystem::remove(drop);
    hand_clock.time += 13h;
    CHECK(attempt(*this, id).deferred == 1);
    std::filesystem::create_directory(drop);
    REQUIRE(files.follow(mailroot.drop));
    CHECK(attempt(*this, id).deferred == 1);
    CHECK(names("Drop").size() == 1);
}

TEST_CASE_FIXTURE(DeliveryFixture, "success is reported once by who can tell last") {
    const std::string asking =
        "x-sender: <s@here.example>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS,FAILURE\r\n"
        "x-receiver: <b@here.example> NOTIFY=SUCCESS\r\nx-receiver: <c@here.example>\r\n";
    const auto id = queued(asking, k_message);
    CHECK(attempt(*this, id).delivered == 3);
    CHECK(names("Queue").empty());
    auto dropped = names("Drop");
    CHECK(dropped.erase(id.text() + ".eml") == 1);
    REQUIRE(dropped.size() == 1);
    const auto report = read("Drop/" + *dropped.begin());
    CHECK(report.find("Subject: Delivery Status Notification (Relay)") != std::string::npos);
    CHECK(report.find("a@there.example\r\nAction: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: "
                      "dns;192.0.2.1\r\nDiagnostic-Code: smtp;250 said the host\r\n") !=
          std::string::npos);
    CHECK(report.find("b@here.example\r\nAction: delivered\r\nStatus: 2.0.0") != std::string::npos);
    CHECK(report.find("c@here.example") == std::string::npos);
    CHECK(report.find("body") == std::string::npos);

    // A host with DSN was asked to report, and does.
    hosts.dsn = true;
    const auto passed_on =
        queued("x-sender: <s@here.example>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS\r\n",
               k_message);
    CHECK(attempt(*this, passed_on).delivered == 1);
    CHECK(names("Queue").empty());
    CHECK(names("Drop").size() == 2);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a success that could not be reported is remembered until it is") {
    hosts.recipient_codes["b@there.example"] = 451;
    const auto id = queued(
        "x-sender: <s@here.example>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS\r\n"
        "x-receiver: <b@there.example> NOTIFY=SUCCESS\r\n",
        k_message);
    const auto drop = scratch.path() / "Drop";
    std::filesystem::remove(drop);
    CHECK(attempt(*this, id).delivered == 1);
    CHECK(read("Queue/" + id.text() + ".eml").find("x-received: <a@there.example>") !=
          std::string::npos);
    CHECK(read("Queue/" + id.text() + ".json").find("successOwed") != std::string::npos);
    hosts.recipient_codes.clear();
    auto result = attempt(*this, id);
    CHECK(result.delivered == 1);
    CHECK(result.next_attempt.has_value());

    // Nobody is left; both are told of.
    hosts.delivered.clear();
    std::filesystem::create_directory(drop);
    REQUIRE(files.follow(mailroot.drop));
    result = attempt(*this, id);
    CHECK_FALSE(result.next_attempt);
    CHECK(hosts.delivered.empty());
    CHECK(names("Queue").empty());
    REQUIRE(names("Drop").size() == 1);
    const auto report = read("Drop/" + *names("Drop").begin());
    for (const auto* address : {"a@there.example", "b@there.example"}) {
        CHECK(report.find(std::string(address) +
                          "\r\nAction: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns;192.0.2.1\r\n"
                          "Diagnostic-Code: smtp;250 said the host\r\n") != std::string::npos);
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "what is owed is on the disk before the mark is") {
    hosts.recipient_codes["b@there.example"] = 451;
    const auto id = queued(
        "x-sender: <s@here.example>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS\r\n"
        "x-receiver: <b@there.example>\r\n",
        k_message);
    files.steps.clear();
    attempt(*this, id);
    const auto written = std::ranges::find(files.steps, "replace");
    const auto marked = std::ranges::find(files.steps, "overwrite");
    REQUIRE(marked != files.steps.end());
    CHECK(written < marked);
}

TEST_CASE_FIXTURE(DeliveryFixture, "a success that was noted and not come to is not reported") {
    const auto id =
        queued("x-sender: <s@here.example>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS\r\n",
               k_message);
    write("Queue/" + id.text() + ".json",
          R"({"recipients": {"a@there.example": {"reply": "250 ok", "successOwed": true}}})");
    hosts.recipient_codes["a@there.example"] = 451;
    CHECK(attempt(*this, id).deferred == 1);
    CHECK(names("Drop").empty());
    CHECK(read("Queue/" + id.text() + ".json").find("successOwed") == std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "nobody is told that a report has come") {
    const auto id = queued(
        "x-sender: <>\r\nx-receiver: <a@there.example> NOTIFY=SUCCESS\r\n"
        "x-receiver: <b@here.example> NOTIFY=SUCCESS\r\n",
        k_message);
    CHECK(attempt(*this, id).delivered == 2);
    CHECK(names("Queue").empty());
    CHECK(names("Drop") == std::set<std::string>{id.text() + ".eml"});
}

TEST_CASE_FIXTURE(DeliveryFixture, "a report that cannot be written leaves its recipient waiting") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id = queued(block("s@here.example", {"b@there.example"}), k_message);
    std::filesystem::remove(scratch.path() / "Drop");
    const auto result = attempt(*this, id);
    CHECK(result.failed == 0);
    CHECK(result.deferred == 1);
    CHECK(exists("Queue/" + id.text() + ".eml"));
}

TEST_CASE_FIXTURE(DeliveryFixture, "a smart host takes all mail but that of domains with another") {
    settings.delivery.smart_host = "relay.other.example:587";
    settings.domains.remote["there.example"].smart_host = "";
    settings.domains.remote["literal.example"].smart_host = "[2001:db8::7]";
    const auto id = queued(block("s@here.example", {"a@nowhere.example", "b@there.example",
                                                    "c@literal.example", "d@elsewhere.example"}),
                           k_message);
    CHECK(attempt(*this, id).delivered == 4);
    std::map<std::string, std::size_t> recipients;
    for (const auto& delivered : hosts.delivered)
        recipients[delivered.address] += delivered.envelope.recipients.size();
    CHECK(recipients == std::map<std::string, std::size_t>{
                            {"192.0.2.2", 2}, {"192.0.2.1", 1}, {"2001:db8::7", 1}});
}

TEST_CASE_FIXTURE(DeliveryFixture, "more recipients than one transaction has go in another one") {
    settings.delivery.recipients_per_message = 2;
    const auto id = queued(block("s@here.example", {"a@there.example", "b@twin.example",
                                                    "c@there.example", "d@other.example"}),
                           k_message);
    CHECK(attempt(*this, id).delivered == 4);
    std::multiset<std::size_t> counts;
    for (const auto& delivered : hosts.delivered)
        counts.insert(delivered.envelope.recipients.size());
    CHECK(counts == std::multiset<std::size_t>{1, 1, 2});
    CHECK(names("Drop").empty());
}

TEST_CASE_FIXTURE(DeliveryFixture, "a masquerade stands for our domains, and for nobody else's") {
    settings.delivery.masquerade = "m.example";
    settings.domains.aliases = {"*.also.example"};
    const std::pair<std::string, std::string> rows[] = {
        {"s@here.example", "s@m.example"},      {"s@HERE.example", "s@m.example"},
        {"s@x.also.example", "s@m.example"},    {"s", "s@m.example"},
        {"s@there.example", "s@there.example"}, {"", ""},
    };
    for (const auto& [sender, said] : rows) {
        CAPTURE(sender);
        hosts.delivered.clear();
        CHECK(attempt(*this, queued(block(sender, {"a@there.example"}), k_message)).delivered == 1);
        REQUIRE(hosts.delivered.size() == 1);
        CHECK(hosts.delivered[0].envelope.reverse_path.text() == said);
        CHECK(hosts.delivered[0].message == k_message);
    }
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "behind a masquerade Drop and reports have the sender's own name") {
    settings.delivery.masquerade = "m.example";
    hosts.recipient_codes["b@there.example"] = 550;
    const auto id =
        queued(block("s@here.example", {"a@here.example", "b@there.example"}), k_message);
    CHECK(attempt(*this, id).delivered == 1);
    CHECK(read("Drop/" + id.text() + ".eml").starts_with("x-sender: s@here.example\r\n"));
    auto dropped = names("Drop");
    dropped.erase(id.text() + ".eml");
    REQUIRE(dropped.size() == 1);
    CHECK(read("Drop/" + *dropped.begin()).find("x-receiver: s@here.example\r\n") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture, "before the smart host the MX hosts may be tried") {
    settings.delivery.smart_host = "[192.0.2.9]:587";
    settings.delivery.direct_first = true;
    settings.domains.remote["own.example"].smart_host = "[192.0.2.8]";
    hosts.connect_codes["192.0.2.2"] = 0;
    const std::pair<std::string, std::string> rows[] = {
        {"there.example", "192.0.2.1"},    // its MX takes it
        {"other.example", "192.0.2.9"},    // its MX is down
        {"unknown.example", "192.0.2.9"},  // DNS knows nothing of it
        {"own.example", "192.0.2.8"},      // has another smart host
    };
    for (const auto& [domain, address] : rows) {
        CAPTURE(domain);
        hosts.delivered.clear();
        const auto id = queued(block("s@here.example", {"a@" + domain}), k_message);
        CHECK(attempt(*this, id).delivered == 1);
        REQUIRE(hosts.delivered.size() == 1);
        CHECK(hosts.delivered[0].address == address);
    }
    resolver.temporary = true;
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    CHECK(attempt(*this, id).delivered == 1);
    CHECK(hosts.delivered.back().address == "192.0.2.9");
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "what would have the report refused, too, is not returned whole") {
    struct Row {
        int code;
        const char* body;
        bool whole;
    };
    for (const auto& row :
         {Row{550, "", true}, Row{552, "", false}, Row{550, " BODY=BINARYMIME", false}}) {
        CAPTURE(row.code);
        CAPTURE(row.body);
        hosts.recipient_codes["a@there.example"] = row.code;
        const auto id = queued("x-sender: <s@here.example>" + std::string(row.body) +
                                   "\r\nx-receiver: <a@there.example>\r\n",
                               k_message);
        attempt(*this, id);
        const auto reports = names("Drop");
        REQUIRE(reports.size() == 1);
        const auto report = read("Drop/" + *reports.begin());
        CHECK((report.find("message/rfc822") != std::string::npos) == row.whole);
        std::filesystem::remove(scratch.path() / "Drop" / *reports.begin());
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "the smart host is its own behind MX hosts, too") {
    settings.delivery.smart_host = "[192.0.2.9]:587";
    settings.delivery.smart_host_login.user = "joe";
    settings.delivery.direct_first = true;
    Route route;
    auto task = [&]() -> smtp::Task<void> {
        route = co_await router.route("there.example", nullptr);
    };
    run(task());
    REQUIRE(route.endpoints.size() == 2);
    CHECK(route.endpoints[0].address == "192.0.2.1");
    CHECK(route.endpoints[0].port == 25);
    CHECK(route.endpoints[0].login == nullptr);
    CHECK(route.endpoints[0].tls == smtp::TlsPolicy::may);
    CHECK(route.endpoints[1].address == "192.0.2.9");
    CHECK(route.endpoints[1].port == 587);
    CHECK(route.endpoints[1].login != nullptr);
    CHECK(route.endpoints[1].tls == smtp::TlsPolicy::encrypt);
    CHECK(route.destination == "may 25 192.0.2.1, then may 587 192.0.2.9 as joe");
}

TEST_CASE_FIXTURE(DeliveryFixture, "where we are the mail host the smart host is not asked") {
    settings.delivery.smart_host = "[192.0.2.9]";
    settings.delivery.direct_first = true;
    settings.hostname = "mx.there.example";
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    CHECK(attempt(*this, id).failed == 1);
    CHECK(hosts.connections == 0);
}

TEST_CASE_FIXTURE(DeliveryFixture, "mail waits where the smart host is this server") {
    settings.delivery.smart_host = "mx.here.example";
    resolver.zone["here.example"] = "192.0.2.9";
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    CHECK(attempt(*this, id).deferred == 1);
    CHECK(read("Queue/" + id.text() + ".json").find("451 4.4.4 smart host mx.here.example: ") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(DeliveryFixture,
                  "a certificate that was verified for one host is not another's") {
    auto route_of = [this](const std::string& domain) {
        Route route;
        auto task = [&]() -> smtp::Task<void> { route = co_await router.route(domain, nullptr); };
        run(task());
        return route;
    };
    CHECK(route_of("there.example").destination == route_of("twin.example").destination);
    settings.delivery.tls = "verify";
    CHECK(route_of("there.example").destination != route_of("twin.example").destination);
}

TEST_CASE_FIXTURE(DeliveryFixture, "mail waits where the smart host cannot be found") {
    settings.delivery.smart_host = "relay.unknown.example";
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    CHECK(attempt(*this, id).deferred == 1);
    CHECK(
        read("Queue/" + id.text() + ".json").find("451 4.4.4 smart host relay.unknown.example: ") !=
        std::string::npos);
    CHECK(hosts.connections == 0);
}

TEST_CASE_FIXTURE(DeliveryFixture, "mail for another domain is not sent to ourselves") {
    Router careful(settings, resolver, random, logins,
                   {{{"", "0.0.0.0", settings.delivery.port}}, {"192.0.2.1"}});
    Courier own(context, careful, destinations);
    const auto id = queued(block("s@here.example", {"a@there.example"}), k_message);
    AttemptResult result;
    auto task = [&]() -> smtp::Task<void> {
        auto message = folders::Queue(mailroot).claim(id, folders::held_from());
        result = co_await own.attempt(std::move(**message));
    };
    run(task());
    CHECK(result.failed == 1);
    CHECK(read("Drop/" + *names("Drop").begin()).find("5.4.6") != std::string::npos);
}
