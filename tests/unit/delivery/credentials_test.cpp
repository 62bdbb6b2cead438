#include "delivery/credentials.hpp"

#include "delivery/delivery_fixture.hpp"
#include "delivery/secret_file.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>

using namespace mailroot;
using namespace mailroot::delivery;
using namespace std::chrono_literals;

namespace {

using Outcome = Result<smtp::Credentials>;

struct LoginFixture : DeliveryFixture {
    /// What a login is told when it is asked `count` times at once.
    std::vector<Outcome> ask(const config::SmartHostLogin& login, int count = 1) {
        std::vector<Outcome> outcomes;
        smtp::TaskGroup group(loop);
        auto one = [&]() -> smtp::Task<void> {
            auto outcome = co_await logins.of(login).credentials();
            outcomes.push_back(std::move(outcome));
        };
        auto all = [&]() -> smtp::Task<void> {
            for (int i = 0; i < count; ++i) group.start(one());
            co_await group.idle();
        };
        run(all());
        return outcomes;
    }
    Outcome ask_once(const config::SmartHostLogin& login) { return ask(login).at(0); }
    std::string secret(const config::SmartHostLogin& login) { return ask_once(login)->secret; }
    std::string trouble(const config::SmartHostLogin& login) {
        return ask_once(login).error().what;
    }

    std::string file(const std::string& name, const std::string& text) {
        return scratch.write(name, text).string();
    }
    std::string first_line_of(const std::string& path) { return secret_in(path).value(); }

    config::SmartHostLogin by_command(const std::string& script) {
        config::SmartHostLogin login{.user = "joe"};
        login.password_command = {"sh", "-c", script};
        return login;
    }

    /// A client that acts for itself.
    config::SmartHostLogin by_oauth() {
        config::SmartHostLogin login{.user = "joe"};
        login.oauth = config::OauthClient{.endpoint = "https://login.example/token",
                                          .client_id = "id",
                                          .client_secret_file = file("client", "client secret\n"),
                                          .scope = "mail"};
        return login;
    }
    /// One that acts for a user.
    config::SmartHostLogin by_refresh_token() {
        auto login = by_oauth();
        login.oauth->refresh_token_file = file("refresh", "first\n");
        return login;
    }

    void answers(const std::string& token, int lasts, const std::string& refresh_token = "") {
        const auto more =
            refresh_token.empty() ? "" : R"(, "refresh_token": ")" + refresh_token + '"';
        web.answers.push_back(smtp::HttpAnswer{200, R"({"access_token": ")" + token +
                                                        R"(", "expires_in": )" +
                                                        std::to_string(lasts) + more + '}'});
    }
};

}  // namespace

TEST_CASE_FIXTURE(LoginFixture, "a password is read anew each time") {
    const config::SmartHostLogin login{.user = "joe", .password_file = file("p", "one\r\nrest\n")};
    const auto credentials = ask_once(login);
    REQUIRE(credentials);
    CHECK(credentials->user == "joe");
    CHECK(credentials->secret == "one");
    CHECK(credentials->kind == smtp::Credentials::Kind::password);
    CHECK_FALSE(credentials->remembered);
    file("p", "two\n");
    CHECK(secret(login) == "two");
}

TEST_CASE_FIXTURE(LoginFixture, "a file without a password is named") {
    const config::SmartHostLogin login{.user = "joe", .password_file = file("p", "\nlate\n")};
    CHECK(trouble(login) == login.password_file + ": the first line is empty");
    const config::SmartHostLogin other{.user = "joe", .password_file = "/no/such/file"};
    CHECK(trouble(other) == "/no/such/file: no such file");
}

TEST_CASE_FIXTURE(LoginFixture, "a program is asked once for all who want to know at a time") {
    const auto runs = file("runs", "");
    const auto login = by_command("echo run >> " + runs + "; echo secret");
    for (const auto& credentials : ask(login, 20)) {
        REQUIRE(credentials);
        CHECK(credentials->secret == "secret");
        CHECK_FALSE(credentials->remembered);
    }
    CHECK(read("runs") == "run\n");
    CHECK(ask_once(login)->remembered);
    hand_clock.time += 61s;
    CHECK_FALSE(ask_once(login)->remembered);
    CHECK(read("runs") == "run\nrun\n");
}

TEST_CASE_FIXTURE(LoginFixture,
                  "what is forgotten is asked for again, unless it is known to be new") {
    const auto secrets = file("secrets", "one\n");
    const auto login = by_command("cat " + secrets);
    const auto old = ask_once(login);
    REQUIRE(old);
    file("secrets", "two\n");
    CHECK(secret(login) == "one");
    logins.of(login).forget(*old);
    CHECK(secret(login) == "two");
    file("secrets", "three\n");
    logins.of(login).forget(*old);  // another connection was refused with it
    CHECK(secret(login) == "two");
}

TEST_CASE_FIXTURE(LoginFixture, "a program that fails is asked again after a moment") {
    const auto runs = file("runs", "");
    const auto login = by_command("echo run >> " + runs + "; echo secret; exit 7");
    for (const auto& credentials : ask(login, 5))
        CHECK(credentials.error().what == "sh: ended with 7");
    CHECK(trouble(login) == "sh: ended with 7");
    CHECK(read("runs") == "run\n");
    hand_clock.time += 3s;
    CHECK(trouble(login) == "sh: ended with 7");
    CHECK(read("runs") == "run\nrun\n");
    CHECK(trouble(by_command("true")) == "sh: the first line is empty");
}

TEST_CASE_FIXTURE(LoginFixture, "a token is asked for once and used until shortly before its end") {
    answers("token1", 3600);
    answers("token2", 100);
    const auto login = by_oauth();
    for (const auto& credentials : ask(login, 20)) {
        REQUIRE_MESSAGE(credentials, credentials.error().what);
        CHECK(credentials->secret == "token1");
        CHECK(credentials->kind == smtp::Credentials::Kind::token);
    }
    hand_clock.time += 3539s;
    CHECK(secret(login) == "token1");
    REQUIRE(web.posts.size() == 1);
    CHECK(web.posts[0].form ==
          "grant_type=client_credentials&scope=mail&client_id=id&client_secret=client%20secret");
    hand_clock.time += 1s;
    CHECK(secret(login) == "token2");
    hand_clock.time += 49s;
    CHECK(ask_once(login)->remembered);
    hand_clock.time += 1s;
    CHECK_FALSE(ask_once(login)->remembered);
    CHECK(web.posts.size() == 3);
}

TEST_CASE_FIXTURE(LoginFixture, "a refresh token that comes is kept before it is used") {
    answers("token1", 10, "second");
    answers("token2", 10);
    answers("token3", 10, "second");
    auto login = by_refresh_token();
    login.oauth->client_authentication = "basic";
    const auto& path = login.oauth->refresh_token_file;
    ::chmod(path.c_str(), 0644);
    CHECK(secret(login) == "token1");
    CHECK(read("refresh") == "second\n");
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    const auto inode = status.st_ino;
    for (const auto* token : {"token2", "token3"}) {
        hand_clock.time += 10s;
        CHECK(secret(login) == token);
        CHECK(web.posts.back().form == "grant_type=refresh_token&refresh_token=second&scope=mail");
        CHECK(web.posts.back().password == "client%20secret");
    }
    // The same one again is not written again.
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_ino == inode);
}

TEST_CASE_FIXTURE(LoginFixture, "a refresh token that cannot be kept is not lost") {
    answers("token1", 10, "second");
    answers("token2", 10);
    const auto login = by_refresh_token();
    web.asked = [&] {
        // From here on the disk takes nothing.
        files.count = 0;
        files.fail_at = 0;
        files.lasting = true;
    };
    CHECK(trouble(login).find("Input/output error") != std::string::npos);
    CHECK(read("refresh") == "first\n");
    web.asked = [] {};
    files.fail_at = -1;
    files.lasting = false;
    hand_clock.time += 3s;
    CHECK(secret(login) == "token2");
    CHECK(web.posts.back().form.find("refresh_token=second") != std::string::npos);
    CHECK(read("refresh") == "second\n");
}

TEST_CASE_FIXTURE(LoginFixture, "a refresh token of somebody's own beats one that was not kept") {
    answers("token1", 10, "second");
    answers("token2", 10);
    const auto login = by_refresh_token();
    web.asked = [&] { files.count = 0, files.fail_at = 0, files.lasting = true; };
    CHECK_FALSE(ask_once(login));
    web.asked = [] {};
    files.fail_at = -1, files.lasting = false;
    hand_clock.time += 3s;
    file("refresh", "by hand\n");
    CHECK(secret(login) == "token2");
    CHECK(web.posts.back().form.find("refresh_token=by%20hand") != std::string::npos);
}

TEST_CASE_FIXTURE(LoginFixture, "a refresh token that another process has is waited for") {
    answers("token", 10);
    const auto login = by_refresh_token();
    std::optional<RefreshToken> other =
        RefreshToken::claim(os::system_files(), login.oauth->refresh_token_file).value();
    const auto busy = RefreshToken::claim(os::system_files(), login.oauth->refresh_token_file);
    REQUIRE_FALSE(busy);
    CHECK(busy.error().kind == Error::Kind::busy);
    const auto timer = [&]() -> smtp::Task<void> {
        co_await smtp::pause(150ms);
        CHECK(web.posts.empty());
        REQUIRE(other->replace("theirs"));
        other.reset();
    };
    smtp::spawn(loop, timer());
    CHECK(secret(login) == "token");
    CHECK(web.posts.at(0).form.find("refresh_token=theirs") != std::string::npos);
}

TEST_CASE_FIXTURE(LoginFixture, "why there is no token is said, without a secret") {
    const auto login = by_refresh_token();
    web.answers.emplace_back(smtp::HttpAnswer{
        400, R"({"error": "invalid_grant", "error_description": "first is old, client secret"})"});
    CHECK(trouble(login) == "https://login.example/token: invalid_grant: ... is old, ...");
    hand_clock.time += 3s;
    web.answers = {fail(Error::Kind::unavailable, "timed out")};
    CHECK(trouble(login) == "https://login.example/token: timed out");
    CHECK(web.posts.size() == 2);
    CHECK(read("refresh") == "first\n");
}

TEST_CASE_FIXTURE(LoginFixture, "a login that fails is reported once per interval") {
    const config::SmartHostLogin login{.user = "joe", .password_file = "/p"};
    auto& known = logins.of(login);
    const Verdict verdict{Verdict::Kind::deferred, reply(0, "4.7.8", "login refused: 535 no"),
                          "mx"};
    const std::string said = "warning no login as joe at mx, mail waits: login refused: 535 no";
    known.failed(verdict);
    known.failed(verdict);
    hand_clock.time += 15min - 1s;
    known.failed(verdict);
    CHECK(log.lines == std::vector<std::string>{said});
    hand_clock.time += 1s;
    known.failed(verdict);
    CHECK(log.lines == std::vector<std::string>{said, said});
}

TEST_CASE_FIXTURE(LoginFixture, "equal logins are one, others have names of their own") {
    const config::SmartHostLogin one{.user = "joe", .password_file = "/p"};
    const config::SmartHostLogin two{.user = "joe", .password_file = "/q"};
    const auto copy = one;
    CHECK(&logins.of(one) == &logins.of(copy));
    CHECK(logins.of(one).name() == "joe");
    CHECK(logins.of(two).name() == "joe (2)");
}

TEST_CASE_FIXTURE(LoginFixture, "each smart host has its own login, and no other host one") {
    settings.delivery.smart_host = "[192.0.2.9]";
    settings.delivery.smart_host_login = {.user = "all", .password_file = "/p"};
    auto& remote = settings.domains.remote;
    remote["own.example"].smart_host = "[192.0.2.9]:587";
    remote["own.example"].smart_host_login = {.user = "own"};
    remote["own.example"].smart_host_login.token_command = {"t"};
    remote["none.example"].smart_host = "[192.0.2.9]:587";
    remote["same.example"].smart_host = "[192.0.2.9]";
    remote["there.example"].smart_host = "";
    struct Row {
        std::string domain, name, ending;
        smtp::TlsPolicy tls;
    };
    using smtp::TlsPolicy;
    for (const std::string policy : {"may", "none"}) {
        settings.delivery.tls = policy;
        const auto password = policy == "may" ? TlsPolicy::encrypt : TlsPolicy::none;
        const auto open = policy == "may" ? TlsPolicy::may : TlsPolicy::none;
        for (const auto& row : {Row{"any.example", "all", " as all", password},
                                Row{"same.example", "all", " as all", password},
                                // A token is never said in the clear.
                                Row{"own.example", "own", " as own", TlsPolicy::encrypt},
                                Row{"none.example", "", "192.0.2.9", open},
                                Row{"there.example", "", "192.0.2.1", open}}) {
            CAPTURE(policy);
            CAPTURE(row.domain);
            Route route;
            auto task = [&]() -> smtp::Task<void> {
                route = co_await router.route(row.domain, nullptr);
            };
            run(task());
            REQUIRE(route.endpoints.size() == 1);
            const auto* login = route.endpoints[0].login;
            CHECK((login == nullptr ? "" : login->name()) == row.name);
            CHECK(route.endpoints[0].tls == row.tls);
            CHECK(route.destination.ends_with(row.ending));
        }
    }
}

TEST_CASE_FIXTURE(LoginFixture, "files of secrets are looked at before there is mail") {
    CHECK(check_secrets(settings));
    settings.delivery.smart_host_login = by_refresh_token();
    CHECK(check_secrets(settings));
    settings.delivery.smart_host_login.oauth->refresh_token_file = "/no/such/file";
    CHECK(check_secrets(settings).error().what ==
          "delivery.smartHostLogin: oauth: refreshTokenFile: /no/such/file: no such file");
    settings.delivery.smart_host_login.oauth->client_secret_file = file("empty", "");
    CHECK(check_secrets(settings).error().what.starts_with(
        "delivery.smartHostLogin: oauth: clientSecretFile: "));
    settings.delivery.smart_host_login = {};
    settings.domains.remote["a.example"].smart_host_login.password_file = "/no/such/file";
    CHECK(check_secrets(settings).error().what ==
          "domains.remote: a.example: smartHostLogin: passwordFile: /no/such/file: no such file");
}
