#include "delivery/folder_sync.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace mailroot;
using namespace mailroot::delivery;

namespace {

std::ptrdiff_t folder_syncs(const FailingFiles& files) {
    return std::ranges::count(files.steps, "sync folder");
}

}  // namespace

TEST_CASE_FIXTURE(DeliveryFixture, "what was wanted before the end is synced, and once for all") {
    FolderSync folder_sync(context);
    files.steps.clear();
    SUBCASE("nothing happened") {
        folder_sync.stop();
        run(folder_sync.run());
        CHECK(folder_syncs(files) == 0);
    }
    SUBCASE("much happened") {
        for (int i = 0; i < 100; ++i) folder_sync.wanted();
        folder_sync.stop();
        run(folder_sync.run());
        CHECK(folder_syncs(files) == 3);
    }
    SUBCASE("a sync that fails stops nothing") {
        files.count = 0;
        files.fail_at = 0;
        folder_sync.wanted();
        folder_sync.stop();
        run(folder_sync.run());
        CHECK(folder_syncs(files) == 3);
        CHECK(log.lines.size() == 1);
    }
}

TEST_CASE_FIXTURE(DeliveryFixture, "the couriers tell when a message has left") {
    int moved_on = 0;
    context.moved_on = [&] { ++moved_on; };
    const auto id = queued("x-sender: <s@a.example>\r\nx-receiver: <a@there.example>\r\n",
                           "Subject: s\r\n\r\nx\r\n");
    auto task = [&]() -> smtp::Task<void> {
        auto message = folders::Queue(mailroot).claim(id, folders::held_from());
        co_await courier.attempt(std::move(**message));
    };
    run(task());
    CHECK(moved_on == 1);
}
