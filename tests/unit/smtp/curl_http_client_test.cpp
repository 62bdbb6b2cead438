#include "smtp/http_client.hpp"
#include "smtp/scripted_server.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace mailroot;
using namespace std::chrono_literals;

namespace {

/// Posts once, and gives what became of it. Answers over TLS are for the tests of the whole
/// program.
Result<smtp::HttpAnswer> post(const std::string& url, const std::string& authorities = "",
                              std::chrono::milliseconds most = 20s) {
    smtp::Loop loop;
    const auto reactor = smtp::make_reactor(loop);
    const auto client = smtp::make_curl_http_client(*reactor, authorities, most).value();
    Result<smtp::HttpAnswer> answer;
    auto task = [&]() -> smtp::Task<void> {
        const smtp::HttpPost form{url, "a=b"};
        answer = co_await client->post(form);
    };
    smtp::spawn(loop, task());
    loop.run();
    return answer;
}

std::string url_of(const ScriptedServer& server) {
    return "https://127.0.0.1:" + std::to_string(server.port()) + "/token";
}

}  // namespace

TEST_CASE("a form is sent over TLS alone") {
    bool asked = false;
    ScriptedServer server([&](Peer& peer) { asked = !peer.line().empty(); });
    const auto answer = post("http://127.0.0.1:" + std::to_string(server.port()) + "/");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().what.find("http") != std::string::npos);
    CHECK_FALSE(asked);
}

TEST_CASE("why a web server gives no answer is said") {
    ScriptedServer closes([](Peer&) {});
    auto answer = post(url_of(closes));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == Error::Kind::unavailable);
    CHECK_FALSE(answer.error().what.empty());

    ScriptedServer silent([](Peer& peer) { peer.until_end(); });
    answer = post(url_of(silent), "", 200ms);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().what == "timed out");

    answer = post(url_of(silent), "/no/such/file");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().what.find("/no/such/file") != std::string::npos);
}
