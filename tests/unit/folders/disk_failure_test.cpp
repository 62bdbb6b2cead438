#include "folders/disk_sequences.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <string>

using namespace disk_work;

namespace {

enum class Lasting { no, yes };

/// Lets each operation of the sequence in turn fail for this reason, a mere look at a file
/// included. `check` gets the machine when the disk is well again.
void with_each_failure(const Sequence& sequence, const Error& reason, Lasting lasting,
                       const std::function<void(Machine&, const Result<void>&)>& check) {
    CAPTURE(sequence.name);
    CAPTURE(reason.what);
    CAPTURE(static_cast<int>(lasting));
    for (int step = 0;; ++step) {
        Machine machine;
        sequence.lay(machine);
        machine.files.count_looks = true;
        machine.files.count = 0;
        machine.files.steps.clear();
        machine.disk.changes.clear();
        machine.files.fail_at = step;
        machine.files.lasting = lasting == Lasting::yes;
        machine.files.reason = reason;
        const auto done = sequence.work(machine);
        if (machine.files.count <= step) {
            REQUIRE(done);
            return;
        }
        machine.files.fail_at = -1;
        CAPTURE(step);
        CAPTURE(machine.files.steps[static_cast<std::size_t>(step)]);
        const auto made = machine.disk.changes_text();
        CAPTURE(made);
        check(machine, done);
    }
}

const Error k_reasons[] = {{Error::Kind::io, "Input/output error"},
                           {Error::Kind::io, "No space left on device"},
                           {Error::Kind::permission, "Permission denied"}};

}  // namespace

TEST_CASE("whichever operation fails, nothing is lost and a later try completes, once") {
    for (const auto& sequence : all_sequences()) {
        for (const auto& reason : k_reasons) {
            for (const auto lasting : {Lasting::no, Lasting::yes}) {
                with_each_failure(sequence, reason, lasting,
                                  [&](Machine& machine, const Result<void>&) {
                                      machine.restart();
                                      check_outcome(machine, sequence, Copies::one);
                                  });
            }
        }
    }
}

TEST_CASE("a message whose intake failed is not there when its sender comes again") {
    for (auto folder : {&Mailroot::queue, &Mailroot::drop}) {
        const auto sequence = taking_in("intake", folder, {"a@here"});
        with_each_failure(sequence, k_reasons[0], Lasting::no,
                          [&](Machine& machine, const Result<void>& done) {
                              REQUIRE_FALSE(done);
                              REQUIRE(sequence.work(machine));
                              machine.restart();
                              check_outcome(machine, sequence, Copies::one);
                          });
    }
}

TEST_CASE("whichever operation fails, the error names the file and the step") {
    for (const auto& sequence : all_sequences()) {
        with_each_failure(
            sequence, k_reasons[1], Lasting::no, [](Machine&, const Result<void>& done) {
                // What is somebody else's is no failure.
                if (done || done.error().kind == Error::Kind::busy) return;
                const auto& what = done.error().what;
                CAPTURE(what);
                CHECK(what.ends_with(": No space left on device"));
                CHECK(what.find("cannot ") != std::string::npos);
                const auto place = what.substr(0, what.find(": "));
                const bool named = place.find(k_id.text()) != std::string::npos ||
                                   place.starts_with("Pickup/") || place.starts_with("Queue/") ||
                                   place.starts_with("Drop/") || place.starts_with("Badmail/") ||
                                   place.starts_with(k_root.string());
                CHECK(named);
            });
    }
}

TEST_CASE("whichever operation of a sweep fails, it takes nothing that stands beside a message") {
    const Sequence sweep{"sweep",
                         {},
                         [](Machine& machine) {
                             lay_message(machine, {"a@later", "b@bad"});
                             REQUIRE(attempt(machine, k_id));
                             machine.disk.now += 1h;
                         },
                         recover_all};
    with_each_failure(sweep, k_reasons[0], Lasting::no, [](Machine& machine, const Result<void>&) {
        const auto stem = k_id.text();
        CHECK(machine.names("Queue") == std::set<std::string>{stem + ".eml", stem + ".json"});
        CHECK(machine.names("Badmail") ==
              std::set<std::string>{stem + ".bad", stem + ".bdp", stem + ".bdr"});
    });
}
