#include "folders/hand_over.hpp"

#include "folders/badmail.hpp"
#include "folders/drop.hpp"
#include "folders/mailroot_fixture.hpp"
#include "folders/recovery.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace mailroot;
using namespace mailroot::folders;
using namespace std::chrono_literals;

namespace {

const std::string k_block =
    "x-sender: <s@a.example>\r\nx-receiver: <local@here.example>\r\nx-receiver: "
    "<far@there.example>\r\n";
const std::string k_message = "Received: by x\r\nSubject: s\r\n\r\nbody\r\n";

Envelope local_part_of(const QueuedMessage& message) {
    Envelope envelope = message.envelope();
    envelope.recipients.resize(1);
    return envelope;
}

/// What a hand-over to Drop does, up to `steps` of its three steps.
MessageId hand_over(MailrootFixture& fixture, int steps) {
    const auto id = fixture.queued(k_block, k_message);
    auto message = Queue(fixture.mailroot).claim(id, TimePoint::max());
    const Drop drop(fixture.mailroot);
    const auto reader = (*message)->reader();
    auto file = drop.prepare(id, local_part_of(**message), *reader);
    REQUIRE(file);
    if (steps >= 2) REQUIRE((*message)->settle(std::vector<std::size_t>{0}));
    if (steps >= 3) REQUIRE(drop.show(*file, id, fixture.ids.next()));
    return id;
}

const std::string k_dropped =
    "x-sender: s@a.example\r\nx-receiver: local@here.example\r\n" + k_message;

}  // namespace

TEST_CASE_FIXTURE(MailrootFixture, "a message is shown in Drop with IIS's bare block") {
    const auto id = hand_over(*this, 3);
    CHECK(names("Drop") == std::set<std::string>{id.text() + ".eml"});
    CHECK(read("Drop/" + id.text() + ".eml") == k_dropped);
}

TEST_CASE_FIXTURE(MailrootFixture, "before it is shown no consumer sees it") {
    const auto id = hand_over(*this, 2);
    CHECK(names("Drop") == std::set<std::string>{"." + id.text() + ".ready"});
}

TEST_CASE_FIXTURE(MailrootFixture,
                  "wherever a crash cuts a hand-over short, recovery delivers once") {
    for (int steps = 1; steps <= 3; ++steps) {
        CAPTURE(steps);
        const auto id = hand_over(*this, steps);
        const auto recovered = recover(mailroot, clock.now(), ids);
        CHECK(recovered.errors.empty());
        CHECK(recovered.finished.size() == (steps < 3 ? 1 : 0));
        CHECK(read("Drop/" + id.text() + ".eml") == k_dropped);
        const auto message = Queue(mailroot).claim(id, TimePoint::max());
        REQUIRE((message && *message));
        CHECK((*message)->unsettled() == std::vector<std::size_t>{1});
        std::filesystem::remove(scratch.path() / ("Drop/" + id.text() + ".eml"));
        CHECK(recover(mailroot, clock.now(), ids).finished.empty());
        CHECK(names("Drop").empty());
    }
}

TEST_CASE_FIXTURE(MailrootFixture, "recovery leaves alone what another has in hand") {
    const auto id = hand_over(*this, 1);
    const auto fd = files.open(mailroot.drop, "." + id.text() + ".ready", os::Files::Access::read);
    REQUIRE(files.lock(*fd).value());
    CHECK(recover(mailroot, clock.now(), ids).finished.empty());
    CHECK(exists("Drop/." + id.text() + ".ready"));
}

TEST_CASE_FIXTURE(MailrootFixture, "a ready file whose source is another's waits for it") {
    const auto id = hand_over(*this, 1);
    const auto claimed = Queue(mailroot).claim(id, TimePoint::max());
    REQUIRE(*claimed);
    CHECK(recover(mailroot, clock.now(), ids).finished.empty());
    CHECK(exists("Drop/." + id.text() + ".ready"));
}

TEST_CASE_FIXTURE(MailrootFixture,
                  "the source of an all local message is removed, pickup file or not") {
    const auto id = ids.next();
    const std::string block = "x-sender: <s@a.example>\r\nx-receiver: <local@here.example>\r\n";
    SUBCASE("a message") {
        write("Queue/" + id.text() + ".eml", block + k_message);
    }
    SUBCASE("a pickup file") {
        write("Queue/" + id.text() + ".pickup", "anything");
    }
    write("Drop/." + id.text() + ".ready", k_dropped);
    const auto recovered = recover(mailroot, clock.now(), ids);
    CHECK(recovered.errors.empty());
    CHECK(names("Queue").empty());
    CHECK(names("Drop") == std::set<std::string>{id.text() + ".eml"});
}

TEST_CASE_FIXTURE(MailrootFixture, "the source stays where its sender is to be told yet") {
    const auto id = ids.next();
    write("Queue/" + id.text() + ".eml",
          "x-sender: <s@a.example>\r\nx-receiver: <local@here.example> NOTIFY=SUCCESS\r\n" +
              k_message);
    History history;
    history.recipients["local@here.example"].success_owed = true;
    write("Queue/" + id.text() + ".json", history_text(history));
    write("Drop/." + id.text() + ".ready", k_dropped);
    CHECK(recover(mailroot, clock.now(), ids).errors.empty());
    CHECK(names("Drop") == std::set<std::string>{id.text() + ".eml"});
    const auto message = Queue(mailroot).claim(id, TimePoint::max());
    REQUIRE((message && *message));
    CHECK((*message)->unsettled().empty());
    CHECK(owes_success((*message)->history()));
}

TEST_CASE_FIXTURE(MailrootFixture, "a name that is taken in Drop is not gone over") {
    const auto id = ids.next();
    write("Drop/" + id.text() + ".eml", "another");
    write("Drop/." + id.text() + ".ready", k_dropped);
    recover(mailroot, clock.now(), ids);
    CHECK(read("Drop/" + id.text() + ".eml") == "another");
    CHECK(names("Drop").size() == 2);
}

TEST_CASE_FIXTURE(MailrootFixture, "leftovers are swept once they are old and nobody's") {
    const auto orphan = ids.next(), owned = queued(k_block, k_message);
    write("Queue/.a.tmp", "x");
    write("Drop/.b.tmp", "x");
    write("Queue/" + orphan.text() + ".json", "{}");
    write("Queue/" + owned.text() + ".json", "{}");
    CHECK(recover(mailroot, clock.now() + 14min, ids).swept.empty());
    const auto held = files.open(mailroot.drop, ".b.tmp", os::Files::Access::read);
    REQUIRE(files.lock(*held).value());
    CHECK(recover(mailroot, clock.now() + 16min, ids).swept.size() == 2);
    CHECK(names("Queue") == std::set<std::string>{owned.text() + ".eml", owned.text() + ".json"});
    CHECK(names("Drop") == std::set<std::string>{".b.tmp"});
}

TEST_CASE_FIXTURE(MailrootFixture,
                  "a bad pickup file goes to Badmail byte for byte, with its reason") {
    const auto id = ids.next();
    const std::string octets("no mail\0at all", 14);
    write("Queue/" + id.text() + ".pickup", octets);
    auto file = Queue(mailroot).resume(id);
    BadmailProperties properties;
    properties.id = id;
    properties.reason = name_of(BadmailReason::bad_pickup_file);
    properties.explanation = "line 1: not a header field";
    properties.file = "mail.eml";
    properties.when = TimePoint{1'800'000'000s};
    REQUIRE(Badmail(mailroot).take(**file, properties));
    CHECK(read("Badmail/" + id.text() + ".bad") == octets);
    const auto reason = read("Badmail/" + id.text() + ".bdr");
    CHECK(reason.find("Error is processing file in pickup directory.") != std::string::npos);
    CHECK(reason.find("0xC00402CE") != std::string::npos);
    CHECK(reason.find("line 1: not a header field") != std::string::npos);
    const auto seen = Badmail(mailroot).look(id.text());
    REQUIRE(seen);
    CHECK(seen->reason == "badPickupFile");
    CHECK(seen->file == "mail.eml");
    CHECK(seen->when == properties.when);
}

TEST_CASE_FIXTURE(MailrootFixture, "whichever step of a hand-over fails, the message is not lost") {
    const auto attempt = [](MailrootFixture& fixture) {
        const auto id = fixture.queued(k_block, k_message);
        fixture.files.count = 0;
        auto message = Queue(fixture.mailroot).claim(id, TimePoint::max());
        if (!message) return id;
        const Drop drop(fixture.mailroot);
        const auto reader = (*message)->reader();
        auto file = drop.prepare(id, local_part_of(**message), *reader);
        if (file && (*message)->settle(std::vector<std::size_t>{0}))
            (void)drop.show(*file, id, fixture.ids.next());
        return id;
    };
    int steps = 0;
    {
        MailrootFixture whole;
        attempt(whole);
        steps = whole.files.count;
    }
    REQUIRE(steps > 8);
    for (int step = 0; step < steps; ++step) {
        CAPTURE(step);
        MailrootFixture fixture;
        fixture.files.fail_at = step;
        const auto id = attempt(fixture);
        fixture.files.fail_at = -1;
        recover(fixture.mailroot, fixture.clock.now(), fixture.ids);
        const auto message = Queue(fixture.mailroot).claim(id, TimePoint::max());
        REQUIRE((message && *message));
        const bool waits = (*message)->unsettled().size() == 2;
        const bool delivered = fixture.names("Drop") == std::set<std::string>{id.text() + ".eml"};
        CHECK(waits != delivered);
    }
}
