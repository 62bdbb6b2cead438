#include "delivery/pace.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

TEST_CASE("messages go evenly, and none saves up turns") {
    const Pace::Time now{1h};
    Pace pace(Rate{60, 1min});
    CHECK_FALSE(pace.is_free());
    CHECK(pace.take(now) == now);
    CHECK(pace.take(now) == now + 1s);
    CHECK(pace.take(now) == now + 2s);
    CHECK(pace.take(now + 10s) == now + 10s);
    CHECK(pace.take(now + 10s) == now + 11s);
    CHECK_FALSE(pace.is_rested(now + 12s - 1ms));
    CHECK(pace.is_rested(now + 12s));
}

TEST_CASE("without a rate whatever comes goes") {
    const Pace::Time now{1h};
    Pace pace(std::nullopt);
    CHECK(pace.is_free());
    for (int i = 0; i < 3; ++i) CHECK(pace.take(now) == now);
}
