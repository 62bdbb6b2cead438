#include "message/received.hpp"

#include "message/header.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>

using namespace mailroot;
using namespace mailroot::message;

namespace {

/// Sets the machine's time zone until the end of the scope.
class ZoneScope {
 public:
    explicit ZoneScope(const char* zone) {
        if (const char* before = std::getenv("TZ")) before_ = before;
        set(zone);
    }
    ~ZoneScope() { set(before_ ? before_->c_str() : nullptr); }
    ZoneScope(const ZoneScope&) = delete;
    ZoneScope& operator=(const ZoneScope&) = delete;

 private:
    static void set(const char* zone) {
        zone != nullptr ? setenv("TZ", zone, 1) : unsetenv("TZ");
        tzset();
    }
    std::optional<std::string> before_;
};

TimePoint at(std::time_t seconds) {
    return std::chrono::system_clock::from_time_t(seconds);
}

constexpr std::time_t k_november = 1'795'484'892;  // 2026-11-24 01:48:12 UTC
const MessageId k_id{0x01d0'b89c'15ed'4609, 8};

}  // namespace

TEST_CASE("a date is written in the machine's zone") {
    struct Row {
        const char* zone;
        std::time_t seconds;
        std::string text;
    };
    const Row rows[] = {
        {"UTC0", k_november, "Tue, 24 Nov 2026 01:48:12 +0000"},
        {"CET-1CEST,M3.5.0,M10.5.0/3", k_november, "Tue, 24 Nov 2026 02:48:12 +0100"},
        {"CET-1CEST,M3.5.0,M10.5.0/3", k_november - 120 * 86400, "Mon, 27 Jul 2026 03:48:12 +0200"},
        {"XST9:30", k_november, "Mon, 23 Nov 2026 16:18:12 -0930"},
        {"XST0:30", k_november, "Tue, 24 Nov 2026 01:18:12 -0030"},
        {"IST-5:30", k_november, "Tue, 24 Nov 2026 07:18:12 +0530"},
        {"UTC0", 1'772'323'200, "Sun, 1 Mar 2026 00:00:00 +0000"},
        {"UTC0", -1, "Wed, 31 Dec 1969 23:59:59 +0000"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.zone);
        const ZoneScope zone(row.zone);
        CHECK(date_text(at(row.seconds)) == row.text);
        CHECK(date_text(at(row.seconds) + std::chrono::milliseconds{999}) == row.text);
        CHECK(date_field(at(row.seconds)) == "Date: " + row.text + "\r\n");
    }
}

TEST_CASE("a Received field has IIS's form") {
    const ZoneScope zone("UTC0");
    struct Row {
        ReceivedFrom from;
        std::string text;
    };
    const Row rows[] = {
        {{"client.example", "192.0.2.1", "ESMTP"}, "from client.example ([192.0.2.1])"},
        {{"[192.0.2.1]", "2001:db8::1", "ESMTP"}, "from [192.0.2.1] ([IPv6:2001:db8::1])"},
        {{"[IPv6:::1]", "fe80::1%eth0", "ESMTP"}, "from [IPv6:::1] ([IPv6:fe80::1])"},
        {{"PC_1", "10.0.0.1", "ESMTP"}, "from PC_1 ([10.0.0.1])"},
        {{"", "10.0.0.1", "ESMTP"}, "from unknown ([10.0.0.1])"},
        {{"a b) by x (\r\nBcc: c@d;\t\"<", "10.0.0.1", "ESMTP"},
         "from a?b??by?x????Bcc:?c?d???? ([10.0.0.1])"},
        {{std::string("\0\x7f\xc3\xa4", 4), "10.0.0.1", "ESMTP"}, "from ???? ([10.0.0.1])"},
        {{"client.example", "192.0.2.1", "ESMTP", "dyn(1).example"},
         "from client.example (dyn?1?.example [192.0.2.1])"},
        {{"client.example", "192.0.2.1", "ESMTP", "", "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
         "from client.example ([192.0.2.1])\r\n\t (using TLSv1.3 with cipher "
         "TLS_AES_256_GCM_SHA384)"},
        {{std::string(500, 'a'), "10.0.0.1", "ESMTP"},
         "from " + std::string(255, 'a') + " ([10.0.0.1])"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(received_field(row.from, "mail.example", k_id, at(k_november)) ==
              "Received: " + row.text +
                  " by mail.example with ESMTP id 01d0b89c15ed460900000008;\r\n"
                  "\t Tue, 24 Nov 2026 01:48:12 +0000\r\n");
    }
}

TEST_CASE("a message from Pickup says so in its Received field") {
    const ZoneScope zone("UTC0");
    const auto text = received_from_pickup("mail.example", k_id, at(k_november));
    CHECK(text ==
          "Received: from mail pickup service by mail.example with mailroot id "
          "01d0b89c15ed460900000008;\r\n\t Tue, 24 Nov 2026 01:48:12 +0000\r\n");
    const auto field = parse_field(text);
    REQUIRE(field);
    CHECK(field->whole == text);
}

TEST_CASE("a message of our own names nobody it came from") {
    const ZoneScope zone("UTC0");
    CHECK(received_locally("mail.example", k_id, at(k_november)) ==
          "Received: by mail.example with mailroot id 01d0b89c15ed460900000008;\r\n\t "
          "Tue, 24 Nov 2026 01:48:12 +0000\r\n");
}

TEST_CASE("a Message-ID is the message's id at its host") {
    CHECK(message_id_field(k_id, "mail.example") ==
          "Message-ID: <01d0b89c15ed460900000008@mail.example>\r\n");
}
