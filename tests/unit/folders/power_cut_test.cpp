#include "folders/disk_sequences.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace disk_work;

namespace {

/// Cuts the power after each change that the sequence makes, and after its last, in each way.
/// `check` gets the machine when it runs again, and whether the work was done.
void with_each_cut(const Sequence& sequence,
                   const std::function<void(Machine&, Cut, bool done)>& check) {
    CAPTURE(sequence.name);
    bool cut_short = true;
    for (std::size_t changes = 0; cut_short; ++changes) {
        for (const auto cut : {Cut::drop_all, Cut::keep_names, Cut::keep_all}) {
            std::size_t points = 1;
            for (std::size_t kept = 0; kept < points; ++kept) {
                Machine machine;
                sequence.lay(machine);
                machine.disk.changes.clear();
                machine.disk.cut_after = changes;
                const bool done = sequence.work(machine).has_value();
                cut_short = machine.disk.is_off();
                REQUIRE((done || cut_short));
                if (cut == Cut::keep_names) points = machine.disk.unsynced_names() + 1;
                const auto made = machine.disk.changes_text();
                machine.disk.power_cut(cut, kept);
                machine.restart();
                CAPTURE(static_cast<int>(cut));
                CAPTURE(kept);
                CAPTURE(made);
                check(machine, cut, done);
            }
        }
    }
}

Copies copies_after(Cut cut, const Sequence& sequence) {
    return cut == Cut::drop_all && sequence.crosses_folders ? Copies::several : Copies::one;
}

}  // namespace

TEST_CASE("wherever the power is cut, nothing is lost, doubled or torn") {
    for (const auto& sequence : all_sequences()) {
        with_each_cut(sequence, [&](Machine& machine, Cut cut, bool) {
            check_outcome(machine, sequence, copies_after(cut, sequence));
        });
    }
}

TEST_CASE("a second cut while the rest is done loses and doubles nothing either") {
    const auto local = picking_up("straight to Drop", {"a@here"});
    const std::vector<std::string> mixed{"a@bad", "b@here", "c@later"};
    for (const auto& first :
         {local, attempting("Queue", mixed), picking_up("Pickup by way of Queue", mixed)}) {
        bool cut_short = true;
        // Each third change, for the time it takes.
        for (std::size_t changes = 0; cut_short; changes += 3) {
            Sequence rest{first.name, first.recipients,
                          [&](Machine& machine) {
                              first.lay(machine);
                              machine.disk.changes.clear();
                              machine.disk.cut_after = changes;
                              (void)first.work(machine);
                              cut_short = machine.disk.is_off();
                              machine.disk.power_cut(Cut::keep_all);
                              machine.restart();
                          },
                          [](Machine& machine) -> Result<void> {
                              MAILROOT_TRY(recover_all(machine));
                              return resume(machine);
                          },
                          true};
            CAPTURE(changes);
            with_each_cut(rest, [&](Machine& machine, Cut cut, bool) {
                check_outcome(machine, rest, copies_after(cut, rest));
            });
        }
    }
}

TEST_CASE("wherever the power is cut, a deferral costs at most its history and its time") {
    auto deferral = attempting("deferred", {"a@later", "b@later"});
    with_each_cut(deferral, [](Machine& machine, Cut cut, bool done) {
        const Queue queue(*machine.mailroot);
        const auto found = queue.find({k_id.text() + ".eml"});
        REQUIRE(found.entries.size() == 1);
        const auto& entry = found.entries.front();
        const auto laid = MemoryFiles().now;
        CHECK((entry.next_attempt == laid || entry.next_attempt == laid + 15min));
        if (done && cut == Cut::keep_all) CHECK(entry.next_attempt == laid + 15min);

        const auto waiting = queue.look(entry);
        REQUIRE(waiting);
        if (done) {
            CHECK(waiting->history.attempts == 1);
            CHECK(waiting->history.recipients.at("b@later").reply == "451 later");
        } else {
            CHECK(waiting->history.attempts <= 1);
        }
    });
}

TEST_CASE("what was taken from a writer who never synced it is durable once it is done with") {
    auto no_mail = refusing();
    no_mail.lay = [](Machine& machine) {
        machine.disk.write_unsynced(k_root / "Pickup/x", k_no_mail);
    };
    auto local = picking_up("straight to Drop", {"a@here"});
    auto mixed = picking_up("Pickup by way of Queue", {"a@here", "b@later"});
    for (auto* sequence : {&local, &mixed}) {
        sequence->lay = [sequence](Machine& machine) {
            machine.disk.write_unsynced(
                k_root / "Pickup/x",
                message::envelope_block(envelope_for(sequence->recipients)) + k_body);
        };
    }
    for (const auto* sequence : {&no_mail, &local, &mixed}) {
        with_each_cut(*sequence, [&](Machine& machine, Cut cut, bool done) {
            // Until then it is the writer's to lose.
            if (done && cut != Cut::drop_all) check_outcome(machine, *sequence, Copies::one);
        });
    }
}

TEST_CASE("a file that was refused is in Badmail from then on, whatever is cut") {
    with_each_cut(refusing(), [](Machine& machine, Cut, bool done) {
        const auto names = machine.names("Badmail");
        const bool there =
            std::ranges::any_of(names, [](const auto& name) { return name.ends_with(".bad"); });
        CHECK((there || !done));
        check_descriptions(machine);
    });
}

TEST_CASE("a message that an administrator takes out leaves nothing behind that is sent") {
    auto sequence = beside_its_pickup("taken out", {"a@here"}, [](Machine& machine) {
        const Queue queue(*machine.mailroot);
        const auto found = queue.find({k_id.text() + ".eml"});
        auto removed = queue.remove(found.entries.at(0));
        return removed ? Result<void>() : fail(std::move(removed));
    });
    with_each_cut(sequence, [&](Machine& machine, Cut cut, bool done) {
        const auto names = machine.names("Queue");
        // What it was made of counts for nothing as long as the message stands beside it.
        if (!names.contains(k_id.text() + ".eml")) CHECK_FALSE(names.contains(pickup_name(k_id)));
        if (done && cut == Cut::keep_all) CHECK(names.empty());
    });
}
