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

TEST_CASE("NOTIFY decides what is reported") {
    struct Row {
        const char* notify;
        bool success, failure, delay;
    };
    for (const auto& row : {
             Row{"", false, true, true},
             Row{"success,FAILURE", true, true, false},
             Row{"NEVER", false, false, false},
             Row{"DELAY", false, false, true},
         }) {
        CAPTURE(row.notify);
        const Recipient recipient{.address = {}, .notify = row.notify, .orcpt = ""};
        CHECK(wants_report(recipient, Event::success) == row.success);
        CHECK(wants_report(recipient, Event::failure) == row.failure);
        CHECK(wants_report(recipient, Event::delay) == row.delay);
        Envelope envelope{
            .reverse_path = {"s", "b.example"}, .ret = {}, .envid = {}, .recipients = {recipient}};
        CHECK(wants_success_report(envelope) == row.success);
        envelope.reverse_path = {};
        CHECK_FALSE(wants_success_report(envelope));
    }
}
