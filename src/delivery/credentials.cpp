#include "delivery/credentials.hpp"

#include "delivery/secret_file.hpp"
#include "os/program.hpp"
#include "smtp/oauth.hpp"
#include "smtp/redact.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace mailroot::delivery {

namespace {

using std::chrono::seconds;
using namespace std::chrono_literals;

// A burst of connections asks a program once.
constexpr seconds k_of_program_lasts = 60s;
// And who fails is not asked again for each address of a host.
constexpr seconds k_failure_lasts = 2s;
// A token that runs out while it is being shown is no good.
constexpr seconds k_margin = 60s;
// Between looks at a refresh token that another process has.
constexpr std::chrono::milliseconds k_busy_pause = 100ms;

/// A secret, and for how long it holds from when it was asked for.
struct Learned {
    Result<std::string> secret;
    seconds lasts{0};
};

Learned nothing(Error why) {
    return {tl::unexpected(std::move(why)), k_failure_lasts};
}

Learned read_from(const std::string& file) {
    auto secret = secret_in(file);
    if (!secret) return nothing(std::move(secret).error());
    return {std::move(secret), 0s};  // read anew each time: a new password needs no word to us
}

Learned printed_by(const std::vector<std::string>& command) {
    auto output = os::output_of(command, k_secret_patience);
    if (!output) return nothing(std::move(output).error());
    auto secret = first_line(*output);
    if (!secret) return nothing(std::move(secret).error().in(command.front()));
    return {std::move(secret), k_of_program_lasts};
}

/// A token endpoint, and our dealings with it: one at a time.
class TokenEndpoint {
 public:
    TokenEndpoint(const Context& context, smtp::HttpClient& http, config::OauthClient client)
        : context_(context), http_(http), client_(std::move(client)) {}

    smtp::Task<Learned> ask();

 private:
    /// What is about to be asked; the refresh token in it is claimed as long as this lives.
    struct Question {
        smtp::TokenRequest request;
        std::optional<RefreshToken> claim;
    };
    /// A refresh token that came in another's stead, and that the disk would not take.
    struct Unkept {
        std::string instead_of;
        std::string text;
    };

    Result<Question> prepare();
    smtp::Task<Learned> ask(Question question);
    Result<void> keep(RefreshToken& token, const std::string& next);
    [[nodiscard]] Error refusal(const Question& question, const Error& why) const;

    const Context& context_;
    smtp::HttpClient& http_;
    const config::OauthClient client_;
    std::optional<Unkept> unkept_;
};

smtp::Task<Learned> TokenEndpoint::ask() {
    const auto deadline = std::chrono::steady_clock::now() + k_secret_patience;
    for (;;) {
        auto prepare_it = [this] { return prepare(); };
        auto question = co_await on_disk(context_, prepare_it);
        if (question) co_return co_await ask(*std::move(question));
        const bool busy = question.error().kind == Error::Kind::busy;
        if (!busy || std::chrono::steady_clock::now() > deadline)
            co_return nothing(std::move(question).error());
        co_await smtp::pause(k_busy_pause);
    }
}

/// On the disk's threads.
Result<TokenEndpoint::Question> TokenEndpoint::prepare() {
    Question question;
    auto& request = question.request;
    request.endpoint = client_.endpoint;
    request.client_id = client_.client_id;
    request.scope = client_.scope;
    if (client_.client_authentication == "basic")
        request.authentication = smtp::ClientAuthentication::basic;
    if (!client_.client_secret_file.empty()) {
        auto secret = secret_in(client_.client_secret_file);
        if (!secret) return fail(std::move(secret));
        request.client_secret = std::move(*secret);
    }
    if (client_.refresh_token_file.empty()) return question;
    auto claim = RefreshToken::claim(context_.mailroot.files, client_.refresh_token_file);
    if (!claim) return fail(std::move(claim));
    // Where somebody has put another one there since, that is the one.
    const auto unkept = std::exchange(unkept_, std::nullopt);
    if (unkept && unkept->instead_of == claim->text()) MAILROOT_TRY(keep(*claim, unkept->text));
    request.refresh_token = claim->text();
    question.claim.emplace(std::move(*claim));
    return question;
}

smtp::Task<Learned> TokenEndpoint::ask(Question question) {
    const auto post = smtp::token_post(question.request);
    auto answer = co_await http_.post(post);
    if (!answer) co_return nothing(refusal(question, answer.error()));
    auto token = smtp::read_token_answer(*answer);
    if (!token) co_return nothing(refusal(question, token.error()));
    if (question.claim) {
        auto keep_it = [this, &question, &token] {
            return keep(*question.claim, token->refresh_token);
        };
        auto kept = co_await on_disk(context_, keep_it);
        if (!kept) co_return nothing(std::move(kept).error());
    }
    const auto lasts = token->lasts > 2 * k_margin ? token->lasts - k_margin : token->lasts / 2;
    Learned learned{std::move(token->access_token), lasts};
    co_return learned;
}

/// On the disk's threads.
Result<void> TokenEndpoint::keep(RefreshToken& token, const std::string& next) {
    if (next.empty() || next == token.text()) return {};
    auto kept = token.replace(next);
    // The old one is worth nothing any more: it is tried again before another is asked for.
    if (!kept) unkept_ = Unkept{token.text(), next};
    return kept;
}

/// The endpoint's words, without what it may repeat of ours.
Error TokenEndpoint::refusal(const Question& question, const Error& why) const {
    auto what = smtp::redacted(why.what, question.request.client_secret);
    what = smtp::redacted(std::move(what), question.request.refresh_token);
    return Error{why.kind, std::move(what)}.in(client_.endpoint);
}

class KnownLogin final : public smtp::Login {
 public:
    KnownLogin(const Context& context, smtp::HttpClient& http, config::SmartHostLogin login,
               std::string name)
        : context_(context),
          login_(std::move(login)),
          name_(std::move(name)),
          changed_(context.loop) {
        if (login_.oauth) endpoint_.emplace(context, http, *login_.oauth);
    }

    [[nodiscard]] const std::string& name() const override { return name_; }
    smtp::Task<Result<smtp::Credentials>> credentials() override;
    void forget(const smtp::Credentials& credentials) override;
    void failed(const Verdict& verdict) override;

 private:
    /// One time that the secret was asked for; all who want it meanwhile wait for this.
    struct Round {
        std::optional<Learned> learned;
        TimePoint until;
    };

    smtp::Task<Learned> learn();

    const Context& context_;
    const config::SmartHostLogin login_;
    const std::string name_;
    std::optional<TokenEndpoint> endpoint_;
    std::shared_ptr<Round> newest_;
    smtp::Signal changed_;
    std::optional<TimePoint> complained_;
};

smtp::Task<Result<smtp::Credentials>> KnownLogin::credentials() {
    using smtp::Credentials;
    const auto now = context_.clock.now();
    auto round = newest_;
    const bool known = round && round->learned && now < round->until;
    if (!round || (round->learned && !known)) {
        round = newest_ = std::make_shared<Round>();
        auto learned = co_await learn();
        round->until = now + learned.lasts;
        round->learned = std::move(learned);
        changed_.notify();
    }
    while (!round->learned) co_await changed_.wait();
    const auto& secret = round->learned->secret;
    if (!secret) co_return tl::unexpected(secret.error());
    Credentials credentials{
        login_.by_token() ? Credentials::Kind::token : Credentials::Kind::password, login_.user,
        *secret, known};
    co_return credentials;
}

smtp::Task<Learned> KnownLogin::learn() {
    if (endpoint_) co_return co_await endpoint_->ask();
    auto look = [&login = login_] {
        if (!login.password_file.empty()) return read_from(login.password_file);
        return printed_by(login.password_command.empty() ? login.token_command
                                                         : login.password_command);
    };
    co_return co_await on_disk(context_, look);
}

void KnownLogin::forget(const smtp::Credentials& credentials) {
    const bool newest = newest_ && newest_->learned && newest_->learned->secret &&
                        *newest_->learned->secret == credentials.secret;
    if (newest) newest_.reset();
}

void KnownLogin::failed(const Verdict& verdict) {
    const auto now = context_.clock.now();
    if (complained_ && now < *complained_ + context_.settings.delivery.retry.front()) return;
    complained_ = now;
    context_.log.warning("no login as " + name_ + " at " + verdict.host +
                         ", mail waits: " + verdict.reply.text());
}

/// `place` is the key of the login.
Result<void> check_secrets_of(const config::SmartHostLogin& login, const std::string& place) {
    const auto check = [&](const std::string& key, const std::string& file) -> Result<void> {
        if (file.empty()) return {};
        auto secret = secret_in(file);
        if (!secret) return fail(Error::Kind::config, place + key + ": " + secret.error().what);
        return {};
    };
    MAILROOT_TRY(check("passwordFile", login.password_file));
    if (!login.oauth) return {};
    MAILROOT_TRY(check("oauth: clientSecretFile", login.oauth->client_secret_file));
    return check("oauth: refreshTokenFile", login.oauth->refresh_token_file);
}

}  // namespace

smtp::Login& Logins::of(const config::SmartHostLogin& login) {
    auto& known = logins_[login];
    if (!known) {
        const auto same_user = std::ranges::count_if(
            logins_, [&](const auto& entry) { return entry.first.user == login.user; });
        const auto number = same_user == 1 ? "" : " (" + std::to_string(same_user) + ")";
        known = std::make_unique<KnownLogin>(context_, http_, login, login.user + number);
    }
    return *known;
}

Result<void> check_secrets(const config::Settings& settings) {
    MAILROOT_TRY(check_secrets_of(settings.delivery.smart_host_login, "delivery.smartHostLogin: "));
    for (const auto& [pattern, remote] : settings.domains.remote) {
        MAILROOT_TRY(check_secrets_of(remote.smart_host_login,
                                      "domains.remote: " + pattern + ": smartHostLogin: "));
    }
    return {};
}

}  // namespace mailroot::delivery
