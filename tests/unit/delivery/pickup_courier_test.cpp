#include "delivery/pickup_courier.hpp"

#include "delivery/delivery_fixture.hpp"
#include "folders/pickup.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;

namespace {

const std::string k_header = "From: s@here.example\r\nSubject: s\r\n\r\n";

std::string pickup_file(const std::vector<std::string>& recipients) {
    std::string text = "X-Sender: s@here.example\r\n";
    for (const auto& recipient : recipients) text += "X-Receiver: " + recipient + "\r\n";
    return text + k_header + "body\r\n";
}

struct Fixture : DeliveryFixture {
    PickupCourier pickup_courier{context, courier};

    /// Lays a file into Pickup and has it attempted.
    PickupResult attempt(const std::string& octets) {
        write("Pickup/mail.eml", octets);
        PickupResult result;
        auto task = [&]() -> smtp::Task<void> {
            auto taken = folders::Pickup(mailroot).take("mail.eml", {true, std::nullopt},
                                                        message_ids.next());
            REQUIRE(taken.outcome == folders::Pickup::Attempt::Outcome::taken);
            result = co_await pickup_courier.attempt(std::move(*taken.file), "mail.eml");
        };
        run(task());
        return result;
    }

    /// The one file of a folder with this extension.
    std::string only(const std::string& folder, const std::string& extension) {
        for (const auto& name : names(folder)) {
            if (name.ends_with(extension)) return read(folder + '/' + name);
        }
        FAIL(folder << " holds no " << extension);
        return {};
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a file of one route goes straight out, without a copy") {
    files.steps.clear();
    const auto result = attempt(pickup_file({"a@there.example", "b@twin.example"}));
    CHECK(result.delivered == 2);
    CHECK(names("Pickup").empty());
    CHECK(names("Queue").empty());
    REQUIRE(hosts.delivered.size() == 1);
    const auto& message = hosts.delivered[0].message;
    CHECK(message.starts_with("Received: from mail pickup service by mx.here.example with "));
    CHECK(message.find("\r\nMessage-ID: <") != std::string::npos);
    CHECK(message.find("\r\nDate: ") != std::string::npos);
    CHECK(message.ends_with(k_header + "body\r\n"));
    CHECK(message.find("X-Receiver") == std::string::npos);
    for (const auto* step : {"create", "append", "sync", "sync folder"}) {
        CAPTURE(step);
        CHECK(std::ranges::find(files.steps, step) == files.steps.end());
    }
}

TEST_CASE_FIXTURE(Fixture, "an all local file goes to Drop") {
    CHECK(attempt(pickup_file({"a@here.example", "b@here.example"})).delivered == 2);
    CHECK(names("Queue").empty());
    CHECK(only("Drop", ".eml")
              .starts_with("x-sender: s@here.example\r\nx-receiver: a@here.example\r\nx-receiver: "
                           "b@here.example\r\n"
                           "Received: from mail pickup service by "));
}

TEST_CASE_FIXTURE(Fixture, "local and remote recipients of one file are all served") {
    CHECK(
        attempt(pickup_file({"a@here.example", "b@there.example", "c@other.example"})).delivered ==
        3);
    CHECK(names("Queue").empty());
    CHECK(names("Drop").size() == 1);
    CHECK(hosts.delivered.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "where no host answers, the message waits under the same id") {
    hosts.connect_codes["192.0.2.1"] = 0;
    const auto result = attempt(pickup_file({"a@there.example"}));
    CHECK(result.deferred == 1);
    REQUIRE(result.next_attempt);
    const auto waiting = only("Queue", ".eml");
    CHECK(
        waiting.starts_with("x-sender: <s@here.example>\r\nx-receiver: <a@there.example>\r\n"
                            "Received: from mail pickup service by "));
    CHECK(waiting.ends_with(k_header + "body\r\n"));
    CHECK(only("Queue", ".json").find("connection refused") != std::string::npos);
    CHECK(names("Queue").size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a refusal of one recipient is reported, the other is not sent again") {
    hosts.recipient_codes["b@there.example"] = 550;
    const auto result = attempt(pickup_file({"a@there.example", "b@there.example"}));
    CHECK(result.delivered == 1);
    CHECK(result.failed == 1);
    CHECK(names("Queue").empty());
    CHECK(hosts.delivered.size() == 1);
    CHECK(only("Drop", ".eml").find("Final-Recipient: rfc822;b@there.example") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "what is no mail goes to Badmail as it is") {
    const std::string octets = "Subject: nobody\r\n\r\nx\r\n";
    CHECK(attempt(octets).badmail == 1);
    CHECK(only("Badmail", ".bad") == octets);
    CHECK(only("Badmail", ".bdr").find("no sender") != std::string::npos);
    CHECK(only("Badmail", ".bdp").find("\"file\": \"mail.eml\"") != std::string::npos);
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(Fixture, "a file that three processes died over goes to Badmail") {
    const auto id = message_ids.next();
    write("Queue/" + id.text() + ".pickup", pickup_file({"a@there.example"}));
    PickupResult result;
    auto task = [&]() -> smtp::Task<void> {
        const folders::Queue queue(mailroot);
        for (int crash = 1; crash < 3; ++crash) REQUIRE(*queue.resume(id));
        auto file = queue.resume(id);
        result = co_await pickup_courier.attempt(std::move(**file), "");
    };
    run(task());
    CHECK(result.badmail == 1);
    CHECK(hosts.delivered.empty());
    CHECK(names("Badmail").size() == 3);
}

TEST_CASE_FIXTURE(Fixture,
                  "a file that a process ended over is made canonical before it goes out") {
    const auto id = message_ids.next();
    write("Queue/" + id.text() + ".pickup", pickup_file({"a@there.example"}));
    hosts.connect_codes["192.0.2.1"] = 0;
    auto task = [&]() -> smtp::Task<void> {
        auto file = folders::Queue(mailroot).resume(id);
        const auto result = co_await pickup_courier.attempt(std::move(**file), "");
        CHECK(result.deferred == 1);
    };
    run(task());
    // From now on no further crash can count against it.
    CHECK(names("Queue") == std::set<std::string>{id.text() + ".eml", id.text() + ".json"});
}

TEST_CASE_FIXTURE(Fixture, "a full disk puts the file back where it came from") {
    std::filesystem::remove(scratch.path() / "Drop");
    const auto octets = pickup_file({"a@here.example"});
    const auto result = attempt(octets);
    CHECK(result.put_back);
    CHECK(read("Pickup/mail.eml") == octets);
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(Fixture, "a file that goes in circles is given back to its sender") {
    std::string header;
    for (int hop = 0; hop <= 15; ++hop) header += "Received: by hop\r\n";
    const auto result = attempt("X-Sender: s@here.example\r\nX-Receiver: a@there.example\r\n" +
                                header + k_header + "body\r\n");
    CHECK(result.failed == 1);
    CHECK(hosts.delivered.empty());
    CHECK(only("Drop", ".eml").find("5.4.6") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "recipients that were settled before are not served again") {
    CHECK(attempt("x-sender: s@here.example\r\nx-received: <a@there.example>\r\n"
                  "x-receiver: <b@there.example>\r\n" +
                  k_header + "body\r\n")
              .delivered == 1);
    REQUIRE(hosts.delivered.size() == 1);
    CHECK(hosts.delivered[0].envelope.recipients.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a file whose success is to be reported goes by way of Queue") {
    for (const auto* recipient : {"a@there.example", "a@here.example"}) {
        CAPTURE(recipient);
        const auto before = names("Drop").size();
        files.steps.clear();
        const auto result =
            attempt("x-sender: <s@here.example>\r\nx-receiver: <" + std::string(recipient) +
                    "> NOTIFY=SUCCESS\r\n" + k_header + "body\r\n");
        CHECK(result.delivered == 1);
        CHECK(names("Queue").empty());
        const bool local = std::string(recipient).ends_with("@here.example");
        CHECK(names("Drop").size() == before + (local ? 2 : 1));
        CHECK(read("Drop/" + *names("Drop").rbegin()).find("multipart/report") !=
              std::string::npos);
    }
}
