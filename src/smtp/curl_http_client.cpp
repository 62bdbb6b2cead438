#include "core/address.hpp"
#include "smtp/curl_multi.hpp"
#include "smtp/http_client.hpp"

#include <array>
#include <utility>

namespace mailroot::smtp {

namespace {

constexpr std::size_t k_most_octets = 64u << 10;

/// One form and its answer.
class Transfer {
 public:
    explicit Transfer(CurlMulti& multi) : multi_(multi), easy_(curl_easy_init()) {}
    ~Transfer() {
        if (easy_ == nullptr) return;
        multi_.remove(easy_);
        curl_easy_cleanup(easy_);
    }
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    Result<void> set_up(const HttpPost& post, const std::string& authorities,
                        std::chrono::milliseconds most);

    void start(std::function<void(CURLcode)> then) {
        if (!multi_.add(easy_, then)) then(CURLE_FAILED_INIT);
    }

    Result<HttpAnswer> answer(CURLcode code);

 private:
    static std::size_t on_body(char* octets, std::size_t size, std::size_t count, void* self) {
        auto& body = static_cast<Transfer*>(self)->body_;
        body.append(octets, size * count);
        return body.size() <= k_most_octets ? size * count : 0;
    }

    CurlMulti& multi_;
    CURL* const easy_;
    std::array<char, CURL_ERROR_SIZE> complaint_{};  ///< libcurl's, in words
    std::string body_;
};

Result<void> Transfer::set_up(const HttpPost& post, const std::string& authorities,
                              std::chrono::milliseconds most) {
    if (easy_ == nullptr) return fail(Error::Kind::unavailable, "libcurl: no memory");
    MAILROOT_TRY(set_all({
        curl_easy_setopt(easy_, CURLOPT_URL, post.url.c_str()),
        curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "https"),
        curl_easy_setopt(easy_, CURLOPT_COPYPOSTFIELDS, post.form.c_str()),
        curl_easy_setopt(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(most.count())),
        curl_easy_setopt(easy_, CURLOPT_FORBID_REUSE, 1L),
        curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body),
        curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this),
        curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, complaint_.data()),
    }));
    MAILROOT_TRY(set_authorities(easy_, authorities));
    if (post.user.empty()) return {};
    return set_all({curl_easy_setopt(easy_, CURLOPT_USERNAME, post.user.c_str()),
                    curl_easy_setopt(easy_, CURLOPT_PASSWORD, post.password.c_str())});
}

Result<HttpAnswer> Transfer::answer(CURLcode code) {
    if (body_.size() > k_most_octets)
        return fail(Error::Kind::unavailable, "the answer is too long");
    if (code == CURLE_OPERATION_TIMEDOUT) return fail(Error::Kind::unavailable, "timed out");
    if (code != CURLE_OK) {
        const std::string words(complaint_.data());
        return fail(Error::Kind::unavailable,
                    words.empty() ? lower_case(curl_easy_strerror(code)) : words);
    }
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    return HttpAnswer{static_cast<int>(status), std::move(body_)};
}

class CurlHttpClient final : public HttpClient {
 public:
    CurlHttpClient(std::unique_ptr<CurlMulti> multi, std::string authorities,
                   std::chrono::milliseconds most)
        : multi_(std::move(multi)), authorities_(std::move(authorities)), most_(most) {}

    Task<Result<HttpAnswer>> post(HttpPost post) override {
        Transfer transfer(*multi_);
        auto possible = transfer.set_up(post, authorities_, most_);
        if (!possible) co_return fail(std::move(possible));
        auto start = [&transfer](auto then) { transfer.start(std::move(then)); };
        const auto code = co_await from_callback<CURLcode>(start);
        co_return transfer.answer(code);
    }

 private:
    std::unique_ptr<CurlMulti> multi_;
    const std::string authorities_;
    const std::chrono::milliseconds most_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> make_curl_http_client(Reactor& reactor, std::string authorities,
                                                          std::chrono::milliseconds most) {
    auto multi = CurlMulti::open(reactor);
    if (!multi) return fail(std::move(multi));
    return std::make_unique<CurlHttpClient>(std::move(*multi), std::move(authorities), most);
}

}  // namespace mailroot::smtp
