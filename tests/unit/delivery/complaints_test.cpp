#include "delivery/complaints.hpp"

#include "delivery/delivery_fixture.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::delivery;

TEST_CASE("what is wrong is said once, until it is well or wrong in another way") {
    EventRecorder log;
    Complaints complaints(log);
    const auto said = [&](const std::string& file, Error::Kind kind, const std::string& what) {
        log.lines.clear();
        complaints.say(file, {kind, what});
        return !log.lines.empty();
    };
    CHECK(said("a", Error::Kind::parse, "line 3"));
    CHECK_FALSE(said("a", Error::Kind::parse, "line 3"));
    CHECK(said("a", Error::Kind::parse, "line 5"));
    CHECK(said("b", Error::Kind::parse, "line 5"));
    CHECK(said("a", Error::Kind::io, "Queue/.1.tmp: disk full"));
    CHECK_FALSE(said("a", Error::Kind::io, "Queue/.2.tmp: disk full"));
    CHECK(said("a", Error::Kind::permission, "Queue/.3.tmp: refused"));
    complaints.forget("a");
    CHECK(said("a", Error::Kind::permission, "Queue/.4.tmp: refused"));
}
