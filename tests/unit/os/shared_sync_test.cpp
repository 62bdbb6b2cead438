#include "os/shared_sync.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>
#include <vector>

using namespace mailroot;
using namespace mailroot::os;

TEST_CASE("those who come while one syncs share the next, which begins after they came") {
    SharedSync shared;
    std::latch first_runs(1);
    std::promise<void> let_first_end;
    std::atomic<int> syncs = 0;
    std::jthread first([&] {
        CHECK(shared.run([&]() -> Result<void> {
            ++syncs;
            first_runs.count_down();
            let_first_end.get_future().wait();
            return {};
        }));
    });
    first_runs.wait();

    constexpr int k_others = 8;
    std::atomic<int> came = 0, done = 0;
    std::vector<std::jthread> others;
    for (int i = 0; i < k_others; ++i) {
        others.emplace_back([&] {
            ++came;
            CHECK(shared.run([&]() -> Result<void> {
                ++syncs;
                return {};
            }));
            ++done;
        });
    }
    while (came < k_others) std::this_thread::yield();
    CHECK(done == 0);
    let_first_end.set_value();
    others.clear();
    CHECK(done == k_others);
    // Not one for each: only who came when the shared one ran already needs a further one.
    CHECK(syncs >= 2);
    CHECK(syncs < 1 + k_others);
}

TEST_CASE("a sync that failed has failed for all who shared it, and for nobody else") {
    SharedSync shared;
    const auto failing = [] { return Result<void>(fail(Error::Kind::io, "disk ill")); };
    const auto working = [] { return Result<void>(); };
    const auto failed = shared.run(failing);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().what == "disk ill");
    CHECK(shared.run(working));
}
