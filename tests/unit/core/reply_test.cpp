#include "core/reply.hpp"

#include "core/envelope.hpp"

#include <doctest/doctest.h>

using namespace mailroot;

TEST_CASE("every line of a reply carries its code") {
    CHECK(reply(550, "5.1.1", "no such user").wire() == "550 5.1.1 no such user\r\n");
    CHECK(Reply{250, "", {"mx Hello", "SIZE 5", "OK"}}.wire() ==
          "250-mx Hello\r\n250-SIZE 5\r\n250 OK\r\n");
    CHECK(Reply{221, "2.0.0", {}}.wire() == "221 2.0.0 \r\n");
}

TEST_CASE("a reply for people stands on one line") {
    CHECK(Reply{451, "4.3.0", {"try", "later"}}.text() == "451 4.3.0 try later");
    CHECK(Reply{0, "", {"connection refused"}}.text() == "connection refused");
}

TEST_CASE("NOTIFY decides whether a failure is reported") {
    CHECK(wants_failure_report({.address = {}, .notify = "", .orcpt = ""}));
    CHECK(wants_failure_report({.address = {}, .notify = "success,FAILURE", .orcpt = ""}));
    CHECK_FALSE(wants_failure_report({.address = {}, .notify = "NEVER", .orcpt = ""}));
    CHECK_FALSE(wants_failure_report({.address = {}, .notify = "DELAY", .orcpt = ""}));
}
