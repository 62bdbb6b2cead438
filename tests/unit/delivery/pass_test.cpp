#include "delivery/delivery_fixture.hpp"
#include "delivery/pickup_pass.hpp"
#include "delivery/queue_pass.hpp"
#include "delivery/recovery.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

const std::string k_message = "Received: by x\r\nFrom: s@other.example\r\n\r\nbody\r\n";

std::string block(const std::string& sender, const std::string& recipient) {
    return "x-sender: <" + sender + ">\r\nx-receiver: <" + recipient + ">\r\n";
}

struct Fixture : DeliveryFixture {
    PickupCourier pickup_courier{context, courier};

    PassResult retry(const QueueSelection& selection) {
        PassResult result;
        auto task = [&]() -> smtp::Task<void> {
            result = co_await run_queue_pass(context, courier, pickup_courier, selection);
        };
        run(task());
        return result;
    }

    PickupPassResult drain() {
        PickupPassResult result;
        auto task = [&]() -> smtp::Task<void> {
            result = co_await run_pickup_pass(context, courier, pickup_courier, 1ms);
        };
        run(task());
        return result;
    }

    void set_due(const MessageId& id, TimePoint when) {
        const auto fd = files.open(mailroot.queue, id.text() + ".eml", os::Files::Access::write);
        REQUIRE(files.set_modified(*fd, when));
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a pass attempts what is due, what is named, or all but what is held") {
    queued(block("s@here.example", "due@there.example"), k_message);
    const auto later = queued(block("s@here.example", "later@there.example"), k_message);
    const auto held = queued(block("s@here.example", "held@there.example"), k_message);
    hand_clock.time = clock.now() + 1s;
    set_due(later, hand_clock.time + 1h);
    set_due(held, folders::held_from());
    SUBCASE("due") {
        CHECK(retry({}).messages == 1);
        CHECK(hosts.delivered.at(0).envelope.recipients[0].address.local_part == "due");
    }
    SUBCASE("named") {
        CHECK(retry({{later}, false}).messages == 1);
        CHECK(hosts.delivered.at(0).envelope.recipients[0].address.local_part == "later");
    }
    SUBCASE("all") {
        CHECK(retry({{}, true}).messages == 2);
    }
    CHECK(exists("Queue/" + held.text() + ".eml"));
}

TEST_CASE_FIXTURE(Fixture, "a report that comes of a pass is sent in the same pass") {
    hosts.recipient_codes["a@there.example"] = 550;
    queued(block("s@other.example", "a@there.example"), k_message);
    hand_clock.time = clock.now() + 1s;
    const auto result = retry({});
    CHECK(result.failed == 1);
    CHECK(result.delivered == 1);
    REQUIRE(hosts.delivered.size() == 1);
    CHECK(hosts.delivered[0].envelope.reverse_path.is_null());
    CHECK(hosts.delivered[0].envelope.recipients[0].address.text() == "s@other.example");
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(Fixture, "a hand-over that a crash cut short is finished, not made again") {
    const auto id = message_ids.next();
    write("Queue/" + id.text() + ".pickup",
          "X-Sender: s@here.example\r\nX-Receiver: a@here.example\r\nSubject: s\r\n\r\nx\r\n");
    write("Drop/." + id.text() + ".ready",
          "x-sender: s@here.example\r\nx-receiver: a@here.example\r\nSubject: s\r\n\r\nx\r\n");
    SUBCASE("by a pass") {
        retry({{}, true});
    }
    SUBCASE("by whoever takes up its source") {
        auto task = [&]() -> smtp::Task<void> {
            auto file = folders::Queue(mailroot).resume(id);
            const auto result = co_await pickup_courier.attempt(std::move(**file), "");
            CHECK(result.deferred == 0);
            CHECK_FALSE(result.put_back);
        };
        run(task());
    }
    CHECK(names("Queue").empty());
    CHECK(names("Pickup").empty());
    CHECK(names("Drop") == std::set<std::string>{id.text() + ".eml"});
}

TEST_CASE_FIXTURE(Fixture,
                  "a drain takes whole files, waits once for others, and says what it left") {
    const std::string octets =
        "X-Sender: s@here.example\r\nX-Receiver: a@there.example\r\nSubject: s\r\n\r\nx\r\n";
    write("Pickup/whole.eml", octets);
    write("Pickup/empty.eml", "");
    write("Pickup/bad.eml", "Subject: nobody\r\n\r\nx\r\n");
    const auto result = drain();
    CHECK(result.messages == 2);
    CHECK(result.delivered == 1);
    CHECK(result.badmail == 1);
    CHECK(result.left == std::vector<std::string>{"empty.eml"});
    CHECK(names("Pickup") == std::set<std::string>{"empty.eml"});
}
