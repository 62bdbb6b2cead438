#include "smtp/admission.hpp"

#include <doctest/doctest.h>

using namespace mailroot;
using namespace mailroot::smtp;
using namespace std::chrono_literals;

namespace {

const Admission::SteadyPoint k_now{1h};

Networks networks(const std::vector<std::string>& texts) {
    return *Networks::parse(texts);
}

std::string outcome(const std::optional<Reply>& refusal) {
    return refusal ? refusal->text() : "let in";
}

}  // namespace

TEST_CASE("who may connect: the allowed, or all, but never the denied") {
    AdmissionOptions options;
    options.deny = networks({"192.0.2.9"});
    Admission open(options);
    CHECK(outcome(open.admit("192.0.2.8", k_now)) == "let in");
    CHECK(outcome(open.admit("192.0.2.9", k_now)) == "554 5.7.1 Access denied");
    options.allow = networks({"192.0.2.0/24"});
    Admission closed(options);
    CHECK(outcome(closed.admit("192.0.2.8", k_now)) == "let in");
    CHECK(outcome(closed.admit("192.0.2.9", k_now)) == "554 5.7.1 Access denied");
    CHECK(outcome(closed.admit("192.0.3.1", k_now)) == "554 5.7.1 Access denied");
}

TEST_CASE("a client has so many connections at once, and finds room when one is gone") {
    AdmissionOptions options;
    options.connections_per_ip = 2;
    options.exempt = networks({"127.0.0.0/8"});
    Admission admission(options);
    CHECK(outcome(admission.admit("192.0.2.1", k_now)) == "let in");
    CHECK(outcome(admission.admit("192.0.2.1", k_now)) == "let in");
    CHECK(outcome(admission.admit("192.0.2.1", k_now)) ==
          "421 4.7.0 Too many connections from your address");
    CHECK(outcome(admission.admit("192.0.2.2", k_now)) == "let in");
    admission.leave("192.0.2.1");
    CHECK(outcome(admission.admit("192.0.2.1", k_now)) == "let in");
    for (int i = 0; i < 5; ++i) CHECK(outcome(admission.admit("127.0.0.1", k_now)) == "let in");
}

TEST_CASE("the addresses of an IPv6 network of 64 bits are one client") {
    AdmissionOptions options;
    options.connections_per_ip = 1;
    Admission admission(options);
    CHECK(outcome(admission.admit("2001:db8:0:1::1", k_now)) == "let in");
    CHECK(outcome(admission.admit("2001:db8:0:1:ffff::2", k_now)).starts_with("421"));
    CHECK(outcome(admission.admit("2001:db8:0:2::1", k_now)) == "let in");
    admission.leave("2001:db8:0:1::1");
    CHECK(outcome(admission.admit("2001:db8:0:1:ffff::2", k_now)) == "let in");
}

TEST_CASE("new connections and recipients are counted by the minute") {
    AdmissionOptions options;
    options.connections_per_minute = 2;
    options.recipients_per_minute = 3;
    Admission admission(options);
    for (int i = 0; i < 2; ++i) {
        CHECK(outcome(admission.admit("192.0.2.1", k_now)) == "let in");
        admission.leave("192.0.2.1");
    }
    CHECK(outcome(admission.admit("192.0.2.1", k_now + 59s)).starts_with("421 4.7.0 Too many new"));
    CHECK(outcome(admission.admit("192.0.2.1", k_now + 60s)) == "let in");
    for (int i = 0; i < 3; ++i) CHECK_FALSE(admission.recipient("192.0.2.1", k_now));
    CHECK(admission.recipient("192.0.2.1", k_now)->code == 450);
    CHECK_FALSE(admission.recipient("192.0.2.2", k_now));
    CHECK_FALSE(admission.recipient("192.0.2.1", k_now + 1min));
}

TEST_CASE("clients that are gone are forgotten, those that are there are not") {
    Admission admission({});
    for (int i = 0; i < 10'000; ++i) {
        const auto address = "10.0." + std::to_string(i / 100) + '.' + std::to_string(i % 100);
        admission.admit(address, k_now);
        if (i != 0) admission.leave(address);
    }
    CHECK(admission.remembered() == 10'000);
    admission.admit("192.0.2.1", k_now + 2min);
    CHECK(admission.remembered() == 2);
}
