#include "delivery/concurrency.hpp"

#include <doctest/doctest.h>

using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

const Concurrency::Time k_now{1h};

}  // namespace

TEST_CASE("a stranger has one connection, who lets us in some, and each message adds to them") {
    Concurrency concurrency(100, 15min);
    CHECK(concurrency.connections() == 1);
    concurrency.greeted();
    CHECK(concurrency.connections() == 20);
    for (int i = 0; i < 21; ++i) concurrency.answered();
    CHECK(concurrency.connections() == 21);
    for (int i = 0; i < 10'000; ++i) concurrency.answered();
    CHECK(concurrency.connections() == 100);
}

TEST_CASE("never more than it may have") {
    Concurrency concurrency(3, 15min);
    concurrency.greeted();
    for (int i = 0; i < 100; ++i) concurrency.answered();
    CHECK(concurrency.connections() == 3);
}

TEST_CASE("who refuses one connection beside others has as many as the others") {
    Concurrency concurrency(100, 15min);
    concurrency.greeted();
    concurrency.refused(2);
    CHECK(concurrency.connections() == 2);
    concurrency.greeted();
    CHECK(concurrency.connections() == 2);
    for (int i = 0; i < 3; ++i) concurrency.answered();
    CHECK(concurrency.connections() == 3);
}

TEST_CASE("where nobody lets us in, it is left alone for a while, then probed by one") {
    Concurrency concurrency(100, 15min);
    concurrency.greeted();
    concurrency.unreachable(k_now);
    CHECK(concurrency.is_dead(k_now));
    CHECK(concurrency.is_dead(k_now + 15min - 1ms));
    CHECK_FALSE(concurrency.is_dead(k_now + 15min));
    CHECK(concurrency.connections() == 1);
    concurrency.greeted();
    CHECK_FALSE(concurrency.is_dead(k_now));
    CHECK(concurrency.connections() == 20);
}

TEST_CASE("one message that ends its connection is not the host's fault, three in a row are") {
    Concurrency concurrency(100, 15min);
    concurrency.greeted();
    concurrency.lost(k_now);
    concurrency.lost(k_now);
    concurrency.answered();
    concurrency.lost(k_now);
    concurrency.lost(k_now);
    CHECK_FALSE(concurrency.is_dead(k_now));
    concurrency.lost(k_now);
    CHECK(concurrency.is_dead(k_now));
}
