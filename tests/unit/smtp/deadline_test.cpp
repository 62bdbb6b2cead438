#include "smtp/deadline.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

using namespace mailroot::smtp;
using namespace std::chrono_literals;

namespace {

struct Fixture {
    asio::io_context context;
    int missed = 0;
    Deadline deadline{context.get_executor(), [this] { ++missed; }};
};

}  // namespace

TEST_CASE("a deadline that passes is told once") {
    Fixture f;
    f.deadline.set(1ms);
    CHECK_FALSE(f.deadline.passed());
    f.context.run();
    CHECK(f.missed == 1);
    CHECK(f.deadline.passed());
}

TEST_CASE("a deadline moved on is told at the later time, one moved back at the earlier") {
    Fixture f;
    const auto start = std::chrono::steady_clock::now();
    f.deadline.set(1ms);
    f.deadline.set(50ms);
    f.context.run();
    CHECK(f.missed == 1);
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);

    f.context.restart();
    f.deadline.set(1h);
    f.deadline.set(1ms);
    f.context.run_for(10s);
    CHECK(f.missed == 2);
}

TEST_CASE("a deadline that is cleared or destroyed is never told") {
    Fixture f;
    f.deadline.set(1ms);
    f.deadline.clear();
    int missed = 0;
    {
        Deadline destroyed(f.context.get_executor(), [&missed] { ++missed; });
        destroyed.set(0ms);
    }
    f.context.run();
    CHECK(f.missed == 0);
    CHECK(missed == 0);
    CHECK_FALSE(f.deadline.passed());
}

TEST_CASE("a deadline can be set anew after it passed") {
    Fixture f;
    f.deadline.set(1ms);
    f.context.run();
    f.context.restart();
    f.deadline.set(1ms);
    CHECK_FALSE(f.deadline.passed());
    f.context.run();
    CHECK(f.missed == 2);
}
