#include "folders/queue.hpp"

#include "folders/mailroot_fixture.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <fcntl.h>

using namespace mailroot;
using namespace mailroot::folders;
using namespace std::chrono_literals;

namespace {

const std::string k_block =
    "x-sender: <s@a.example>\r\nx-receiver: <r@b.example>\r\nx-receiver: <q@c.example>\r\n";
const std::string k_message = "Received: by x\r\nSubject: s\r\n\r\nbody\r\n";

std::string all_of(MessageReader& reader) {
    std::string octets;
    for (;;) {
        const auto portion = reader.next();
        REQUIRE(portion);
        if (portion->empty()) return octets;
        octets += *portion;
    }
}

}  // namespace

TEST_CASE_FIXTURE(MailrootFixture, "a message is visible once it is committed, and whole") {
    const Queue queue(mailroot);
    Envelope envelope;
    envelope.reverse_path = {"s", "a.example"};
    envelope.recipients = {{{"r", "b.example"}, "", "", false},
                           {{"q", "c.example"}, "", "", false}};
    const auto id = ids.next();
    auto file = queue.begin(id, envelope);
    REQUIRE(file);
    REQUIRE(file->append(k_message));
    CHECK(names("Queue") == std::set<std::string>{"." + id.text() + ".tmp"});
    REQUIRE(file->commit());
    CHECK(names("Queue") == std::set<std::string>{id.text() + ".eml"});
    CHECK(read("Queue/" + id.text() + ".eml") == k_block + k_message);
}

TEST_CASE_FIXTURE(MailrootFixture,
                  "settling overwrites one octet and the rest goes on from there") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    {
        auto message = queue.claim(id, TimePoint::max());
        REQUIRE(message);
        REQUIRE(*message);
        CHECK((*message)->unsettled() == std::vector<std::size_t>{0, 1});
        REQUIRE((*message)->settle(std::vector<std::size_t>{0}));
    }
    CHECK(read("Queue/" + id.text() + ".eml") ==
          "x-sender: <s@a.example>\r\nx-received: <r@b.example>\r\nx-receiver: <q@c.example>\r\n" +
              k_message);
    auto again = queue.claim(id, TimePoint::max());
    REQUIRE(again);
    CHECK((*again)->unsettled() == std::vector<std::size_t>{1});
    CHECK(all_of(*(*again)->reader()) == k_message);
}

TEST_CASE_FIXTURE(MailrootFixture, "a claim is one process's, and goes with it") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    {
        const auto first = queue.claim(id, TimePoint::max());
        REQUIRE(first);
        REQUIRE(*first);
        const auto second = queue.claim(id, TimePoint::max());
        REQUIRE(second);
        CHECK_FALSE(*second);
    }
    CHECK(*queue.claim(id, TimePoint::max()));
    CHECK_FALSE(*queue.claim(ids.next(), TimePoint::max()));
}

TEST_CASE_FIXTURE(MailrootFixture, "the file's time says when it is due, and whether it is held") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    const auto now = clock.now() + 1s;
    const auto next = now + 15min;
    {
        auto message = queue.claim(id, now);
        REQUIRE((message && *message));
        History history;
        history.attempts = 1;
        history.recipients["r@b.example"] = {now, "mx [192.0.2.1]", "451 later", 1, true};
        REQUIRE((*message)->defer(history, next));
    }
    CHECK_FALSE(*queue.claim(id, next - 1ms));
    {
        const auto due = queue.claim(id, next);
        REQUIRE((due && *due));
        CHECK((*due)->history().attempts == 1);
        CHECK((*due)->history().recipients.at("r@b.example").reply == "451 later");
        CHECK((*due)->history().recipients.at("r@b.example").delay_told);
    }
    const auto fd = files.open(mailroot.queue, id.text() + ".eml", os::Files::Access::read);
    REQUIRE(files.set_modified(*fd, held_from()));
    CHECK_FALSE(*queue.claim(id, whenever_due()));
}

TEST_CASE_FIXTURE(MailrootFixture, "a message that is held during its attempt stays held") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    auto message = queue.claim(id, TimePoint::max());
    const auto hand = files.open(mailroot.queue, id.text() + ".eml", os::Files::Access::write);
    REQUIRE(files.set_modified(*hand, held_from() + 24h));
    REQUIRE((*message)->defer({}, clock.now() + 15min));
    CHECK(files.info(*hand)->modified == held_from() + 24h);
}

TEST_CASE_FIXTURE(MailrootFixture, "removing takes the message first, then its history") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    write("Queue/" + id.text() + ".json", "{}");
    auto message = queue.claim(id, TimePoint::max());
    files.steps.clear();
    REQUIRE((*message)->remove());
    CHECK(files.steps == std::vector<std::string>{"unlink", "unlink", "unlink"});
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(MailrootFixture, "a damaged message is refused by name and left where it is") {
    const Queue queue(mailroot);
    struct Row {
        std::string octets, reason;
    };
    const Row rows[] = {
        {"", "no x-sender"},
        {"Subject: s\r\n\r\nbody\r\n", "no x-sender"},
        {"x-sender: <s@a.example>\r\nSubject: s\r\n\r\n", "no x-receiver"},
        {k_block, "no message behind the envelope"},
        {"x-sender: <s@a.example>\r\nx-receiver: a@b.example, c@d.example\r\nSubject: s\r\n\r\n",
         "several recipients"},
        {"x-sender: <s@a.example>\r\nx-receiver: nonsense <\r\nSubject: s\r\n\r\n", "line 2"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.octets);
        const auto id = queued(row.octets, "");
        const auto claimed = queue.claim(id, TimePoint::max());
        REQUIRE_FALSE(claimed);
        CHECK(claimed.error().kind == Error::Kind::parse);
        CHECK(claimed.error().what.find("Queue/" + id.text() + ".eml: ") == 0);
        CHECK(claimed.error().what.find(row.reason) != std::string::npos);
        CHECK(exists("Queue/" + id.text() + ".eml"));
    }
}

TEST_CASE_FIXTURE(MailrootFixture, "a lost or broken history costs history, not mail") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    for (const auto* text : {"", "nonsense", "[]", R"({"attempts": "x", "recipients": 7})"}) {
        CAPTURE(text);
        write("Queue/" + id.text() + ".json", text);
        const auto message = queue.claim(id, TimePoint::max());
        REQUIRE((message && *message));
        CHECK((*message)->history().attempts == 0);
    }
}

TEST_CASE_FIXTURE(MailrootFixture, "a block of a thousand recipients is read whole") {
    const Queue queue(mailroot);
    std::string block = "x-sender: <s@a.example>\r\n";
    for (int i = 0; i < 1000; ++i)
        block += "x-receiver: <recipient" + std::to_string(i) + "@b.example>\r\n";
    const auto id = queued(block, k_message);
    const auto message = queue.claim(id, TimePoint::max());
    REQUIRE((message && *message));
    CHECK((*message)->unsettled().size() == 1000);
    CHECK(all_of(*(*message)->reader()) == k_message);
}

TEST_CASE_FIXTURE(MailrootFixture, "a scan tells messages, left pickups and foreign files apart") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    const auto taken = ids.next();
    write("Queue/" + taken.text() + ".pickup", "x");
    write("Queue/" + id.text() + ".json", "{}");
    write("Queue/.x.tmp", "x");
    write("Queue/by hand.eml", "x");
    std::set<std::string> found, foreign;
    auto scan = queue.scan();
    REQUIRE(scan);
    const auto portion = scan->next();
    REQUIRE(portion);
    CHECK(portion->last);
    for (const auto& entry : portion->entries)
        found.insert(entry.id.text() + (entry.pickup ? " pickup" : ""));
    foreign.insert(portion->foreign.begin(), portion->foreign.end());
    CHECK(found == std::set<std::string>{id.text(), taken.text() + " pickup"});
    CHECK(foreign == std::set<std::string>{"by hand.eml"});
}

TEST_CASE_FIXTURE(MailrootFixture, "each process that left a pickup file in hand is counted") {
    const Queue queue(mailroot);
    const auto id = ids.next();
    write("Queue/" + id.text() + ".pickup", "To: a@b.example\n\nx");
    for (int crash = 1; crash <= 3; ++crash) {
        const auto file = queue.resume(id);
        REQUIRE((file && *file));
        CHECK((*file)->crashes() == crash);
        const auto second = queue.resume(id);
        REQUIRE(second);
        CHECK_FALSE(*second);
    }
    auto file = queue.resume(id);
    REQUIRE((*file)->remove());
    CHECK(names("Queue").empty());
}

TEST_CASE_FIXTURE(MailrootFixture, "a pickup file whose message was made canonical is superseded") {
    const Queue queue(mailroot);
    const auto id = queued(k_block, k_message);
    write("Queue/" + id.text() + ".pickup", "x");
    const auto file = queue.resume(id);
    REQUIRE(file);
    CHECK_FALSE(*file);
    CHECK(names("Queue") == std::set<std::string>{id.text() + ".eml"});
}

TEST_CASE_FIXTURE(MailrootFixture, "a message that is still being copied in is not claimed") {
    const auto id = queued(k_block, k_message);
    {
        const os::Fd writer(
            ::open((scratch.path() / ("Queue/" + id.text() + ".eml")).c_str(), O_WRONLY));
        const auto early = Queue(mailroot).claim(id, TimePoint::max());
        REQUIRE(early);
        CHECK_FALSE(*early);
    }
    const auto message = Queue(mailroot).claim(id, TimePoint::max());
    CHECK((message && *message));
}

TEST_CASE_FIXTURE(MailrootFixture, "a message that was cut off is damaged") {
    const auto id = queued(k_block, k_message.substr(0, k_message.size() - 3));
    const auto message = Queue(mailroot).claim(id, TimePoint::max());
    REQUIRE_FALSE(message);
    CHECK(message.error().kind == Error::Kind::parse);
    CHECK(message.error().what.find("cut off") != std::string::npos);
}

TEST_CASE_FIXTURE(MailrootFixture, "a hold survives the marks of an attempt") {
    const auto id = queued(k_block, k_message);
    auto message = Queue(mailroot).claim(id, whenever_due());
    REQUIRE((message && *message));
    const auto fd = files.open(mailroot.queue, id.text() + ".eml", os::Files::Access::read);
    REQUIRE(files.set_modified(*fd, held_from() + 24h));
    REQUIRE((*message)->settle(std::vector<std::size_t>{0}));
    CHECK(files.info(*fd)->modified == held_from() + 24h);
}

TEST_CASE_FIXTURE(MailrootFixture, "what is held is claimed only by whoever asks for that too") {
    const auto id = queued(k_block, k_message);
    {
        const auto fd = files.open(mailroot.queue, id.text() + ".eml", os::Files::Access::read);
        REQUIRE(files.set_modified(*fd, held_from()));
    }
    const Queue queue(mailroot);
    CHECK_FALSE(queue.claim(id, whenever_due()).value());
    CHECK(queue.claim(id, TimePoint::max()).value());
}

TEST_CASE_FIXTURE(MailrootFixture, "a message is put off where it is due") {
    const Queue queue(mailroot);
    const auto name = "Queue/" + ids.next().text() + ".eml";
    write(name, k_block + k_message);
    const auto id = *MessageId::parse(name.substr(6, 24));
    const auto now = TimePoint::clock::now();
    CHECK_FALSE(*queue.put_off(id, now - 1h, now + 1h));
    CHECK(*queue.put_off(id, now + 1min, now + 1h));
    const auto claimed = queue.claim(id, now + 2h);
    REQUIRE((claimed && *claimed));
    CHECK((*claimed)->next_attempt() == now + 1h);
    CHECK_FALSE(*queue.put_off(ids.next(), now, now + 1h));
}
