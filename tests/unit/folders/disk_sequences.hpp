#pragma once

#include "folders/disk_promises.hpp"
#include "folders/disk_work.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

/// The ways a message goes through the folders, each to be cut short at each of its steps.
namespace disk_work {

struct Sequence {
    std::string name;
    std::vector<std::string> recipients;
    std::function<void(Machine&)> lay;           ///< what stands there before
    std::function<Result<void>(Machine&)> work;  ///< what is cut short

    /// It moves a file between Pickup and another folder. Where each folder becomes durable on its
    /// own, a cut may leave it in both: no file system that keeps a journal does that, so that
    /// after Cut::drop_all a copy more is no fault, after Cut::keep_names it is.
    bool crosses_folders = false;

    std::size_t no_mail = 0;  ///< how many files it lays there that are none
};

inline const MessageId k_id(0x01dc5d0000000000, 0xabcd);

inline void lay_message(Machine& machine, const std::vector<std::string>& recipients) {
    machine.write("Queue", k_id.text() + ".eml",
                  message::envelope_block(envelope_for(recipients)) + k_added + k_body);
}

inline void lay_pickup(Machine& machine, const std::vector<std::string>& recipients) {
    machine.write("Pickup", "x", message::envelope_block(envelope_for(recipients)) + k_body);
}

/// An attempt at a message of Queue.
inline Sequence attempting(std::string name, std::vector<std::string> recipients) {
    return {std::move(name), recipients,
            [recipients](Machine& machine) { lay_message(machine, recipients); },
            [](Machine& machine) { return attempt(machine, k_id); }};
}

/// A file of Pickup, from its being taken on.
inline Sequence picking_up(std::string name, std::vector<std::string> recipients) {
    return {std::move(name), recipients,
            [recipients](Machine& machine) { lay_pickup(machine, recipients); },
            [](Machine& machine) { return pick_up(machine, "x"); }, true};
}

inline Sequence taking_in(std::string name, os::Folder Mailroot::*folder,
                          std::vector<std::string> recipients) {
    return {std::move(name), recipients, [](Machine& machine) { machine.answered = false; },
            [folder, recipients](Machine& machine) {
                return take_in(machine, (*machine.mailroot).*folder, envelope_for(recipients));
            }};
}

/// The recovery after a crash between a hand-over's being ready and the settling of its source.
inline Sequence recovering(Sequence of) {
    const auto crash = [of](Machine& machine) {
        of.lay(machine);
        machine.crash_when_ready = true;
        CHECK_FALSE(of.work(machine));
        machine.crash_when_ready = false;
        machine.disk.power_cut(Cut::keep_all);
        machine.start();
    };
    return {"recovery: " + of.name, of.recipients, crash, recover_all};
}

/// A file of Pickup that a process had in hand when it ended.
inline Sequence resuming(std::vector<std::string> recipients) {
    const auto lay = [recipients](Machine& machine) {
        machine.write("Queue", pickup_name(k_id),
                      message::envelope_block(envelope_for(recipients)) + k_body);
    };
    return {"resumed", recipients, lay, resume_queue};
}

/// A message of Queue beside the file of Pickup that it was made of, whichever of them is looked at
/// first.
inline Sequence beside_its_pickup(std::string name, std::vector<std::string> recipients,
                                  std::function<Result<void>(Machine&)> work) {
    const auto lay = [recipients](Machine& machine) {
        lay_message(machine, recipients);
        machine.write("Queue", pickup_name(k_id),
                      message::envelope_block(envelope_for(recipients)) + k_body);
    };
    return {std::move(name), recipients, lay, std::move(work)};
}

/// A file of Pickup that cannot be worked on now.
inline Result<void> take_and_put_back(Machine& machine) {
    auto taken = Pickup(*machine.mailroot).take("x", {true, std::nullopt}, machine.ids.next());
    if (taken.outcome == Pickup::Attempt::Outcome::unusable)
        return tl::unexpected(std::move(taken.reason));
    if (!taken.file) return fail(Error::Kind::busy, "Pickup/x: not to be had");
    return taken.file->put_back("x");
}

/// A bad message that an administrator sends again.
inline Sequence requeuing(std::vector<std::string> recipients) {
    const auto lay = [recipients](Machine& machine) {
        lay_message(machine, recipients);
        REQUIRE(attempt(machine, k_id));
        machine.disk.power_cut(Cut::keep_all);
        machine.start();
    };
    const auto work = [](Machine& machine) -> Result<void> {
        auto requeued = Badmail(*machine.mailroot).requeue(k_id.text());
        if (!requeued) return fail(std::move(requeued));
        return {};
    };
    return {"requeued", recipients, lay, work, true};
}

inline Sequence refusing() {
    return {"no mail",
            {},
            [](Machine& machine) { machine.write("Pickup", "x", k_no_mail); },
            [](Machine& machine) { return pick_up(machine, "x"); },
            true,
            1};
}

inline std::vector<Sequence> all_sequences() {
    std::vector<Sequence> all{
        taking_in("intake to Queue", &Mailroot::queue, {"a@far", "b@here"}),
        taking_in("intake to Drop", &Mailroot::drop, {"a@here", "b@here"}),
        attempting("all local", {"a@here", "b@here"}),
        attempting("all to Badmail", {"a@bad", "b@bad"}),
        attempting("local, then remote", {"a@here", "b@far", "c@here"}),
        attempting("remote, then local", {"a@far", "b@here"}),
        attempting("Badmail, local, remote", {"a@bad", "b@here", "c@far"}),
        attempting("local, then Badmail", {"a@here", "b@bad"}),
        attempting("deferred", {"a@later", "b@later"}),
        attempting("remote and local, the rest deferred", {"a@far", "b@far", "c@here", "d@later"}),
        attempting("removed", {"a@far"}),
        picking_up("straight to Drop", {"a@here", "b@here"}),
        picking_up("straight to another host", {"a@far"}),
        picking_up("Pickup by way of Queue", {"a@here", "b@far"}),
        picking_up("Pickup, deferred", {"a@later"}),
        recovering(attempting("all local", {"a@here"})),
        recovering(attempting("local, then remote", {"a@here", "b@far"})),
        recovering(attempting("all to Badmail", {"a@bad"})),
        recovering(attempting("Badmail, then remote", {"a@bad", "b@far"})),
        recovering(picking_up("straight to Drop", {"a@here"})),
    };
    all.push_back(resuming({"a@here", "b@far"}));
    all.push_back(beside_its_pickup("resumed beside the file it was made of", {"a@here", "b@far"},
                                    resume_queue));
    all.push_back(beside_its_pickup("attempted beside the file it was made of", {"a@here", "b@far"},
                                    [](Machine& machine) { return attempt(machine, k_id); }));
    all.push_back(picking_up("Pickup, put back", {"a@far"}));
    all.back().work = take_and_put_back;
    all.push_back(requeuing({"a@bad"}));
    all.push_back(refusing());
    return all;
}

/// What the tests end with: recovers, looks, does the rest of the work, and looks again.
inline void check_outcome(Machine& machine, const Sequence& sequence, Copies copies) {
    // What describes a temporary file goes only once that is gone.
    for (int i = 0; i < 2; ++i) CHECK(recover_all(machine));
    check_places(machine, sequence.recipients, copies);
    if (copies == Copies::one) CHECK(count_no_mail(machine) == sequence.no_mail);
    check_swept(machine);

    CHECK(resume(machine));
    machine.disk.now += 1h;
    for (int i = 0; i < 2; ++i) CHECK(recover_all(machine));
    check_arrivals(machine, sequence.recipients, copies);
    check_swept(machine);
    if (copies == Copies::one) {
        CHECK(count_no_mail(machine) == sequence.no_mail);
        CHECK(machine.names("Pickup").empty());
    }
}

}  // namespace disk_work
