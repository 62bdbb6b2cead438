#include "core/first_of.hpp"

#include <doctest/doctest.h>

#include <functional>

using mailroot::FirstOf;

namespace {

std::vector<int> first(std::size_t most, const std::vector<int>& all) {
    FirstOf<int, std::less<>> kept(most, {});
    for (const int one : all) kept.add(one);
    return kept.take();
}

}  // namespace

TEST_CASE("the first ones are kept, in order, whatever order they come in") {
    CHECK(first(3, {5, 1, 4, 2, 3}) == std::vector{1, 2, 3});
    CHECK(first(3, {1, 2, 3, 4, 5}) == std::vector{1, 2, 3});
    CHECK(first(3, {5, 4, 3, 2, 1}) == std::vector{1, 2, 3});
    CHECK(first(3, {2, 1}) == std::vector{1, 2});
    CHECK(first(3, {}).empty());
    CHECK(first(0, {1, 2}).empty());
    CHECK(first(2, {7, 7, 7}) == std::vector{7, 7});
}
