#include "smtp/curl_wire.hpp"

#include "core/address.hpp"
#include "core/text.hpp"
#include "smtp/redact.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <system_error>
#include <utility>

namespace mailroot::smtp {

namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// As much as the replies to a flight of some thousand commands, which a server may begin to send
// before it has read all of them.
constexpr std::size_t k_max_pending = 1u << 20;

constexpr const char* k_no_way_to_log_in = "the host offers no way to log in";

bool is_ipv6(const std::string& address) {
    return address.find(':') != std::string::npos;
}

std::string in_url(const std::string& address) {
    return is_ipv6(address) ? "[" + address + "]" : address;
}

/// The certificate is held against the host's name, the connection made to its address.
std::string url_of(CURL* easy, const Endpoint& endpoint, const std::string& hostname) {
    const std::unique_ptr<char, void (*)(void*)> escaped(
        curl_easy_escape(easy, hostname.c_str(), static_cast<int>(hostname.size())), &curl_free);
    const bool has_name = endpoint.name != endpoint.address;  // a literal is its own name
    const bool by_name = endpoint.tls == TlsPolicy::verify && has_name;
    const auto host = by_name ? endpoint.name : in_url(endpoint.address);
    return "smtp://" + host + ":" + std::to_string(endpoint.port) + "/" +
           (escaped ? escaped.get() : "");
}

bool is_of_tls(CURLcode code) {
    constexpr std::array codes{CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION,
                               CURLE_USE_SSL_FAILED,    CURLE_SSL_CERTPROBLEM,
                               CURLE_SSL_CIPHER,        CURLE_SSL_ISSUER_ERROR,
                               CURLE_SSL_CACERT_BADFILE};
    return std::ranges::find(codes, code) != codes.end();
}

tl::unexpected<Error> lost(std::string how) {
    return fail(Error::Kind::io, std::move(how));
}

/// A wait for a descriptor or the clock, whichever is first.
class Race : public std::enable_shared_from_this<Race> {
 public:
    Race(Reactor& reactor, int fd, std::function<void(bool)> then)
        : reactor_(reactor), fd_(fd), then_(std::move(then)) {}

    void start(Reactor::Readiness wanted, milliseconds most) {
        reactor_.watch(fd_, wanted, [self = shared_from_this()](auto) { self->end(true); });
        timer_ = reactor_.after(most, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->end(false);
        });
    }

 private:
    void end(bool ready) {
        const auto self = shared_from_this();
        timer_.reset();
        reactor_.unwatch(fd_);
        if (const auto then = std::exchange(then_, nullptr)) then(ready);
    }

    Reactor& reactor_;
    const int fd_;
    std::function<void(bool)> then_;
    std::unique_ptr<Reactor::Timer> timer_;
};

}  // namespace

/// The time that connecting may take: one bound until TCP stands, another one from then on.
class CurlWire::Opening : public std::enable_shared_from_this<Opening> {
 public:
    Opening(CurlWire& wire, const ClientTimeouts& timeouts, std::function<void(CURLcode)> then)
        : wire_(wire), timeouts_(timeouts), then_(std::move(then)) {}

    void start() {
        const auto added = wire_.multi_.add(
            wire_.easy_, [self = shared_from_this()](CURLcode code) { self->end(code); });
        if (!added) {
            wire_.reactor_.post([self = shared_from_this()] { self->end(CURLE_FAILED_INIT); });
            return;
        }
        look_at_the_clock();
    }

 private:
    void look_at_the_clock() {
        curl_off_t connected = 0;  // microseconds from the start on; 0: not yet
        curl_easy_getinfo(wire_.easy_, CURLINFO_CONNECT_TIME_T, &connected);
        const auto bound = connected == 0 ? milliseconds(timeouts_.connect)
                                          : duration_cast<milliseconds>(microseconds(connected)) +
                                                timeouts_.greeting;
        const auto left = bound - duration_cast<milliseconds>(steady_clock::now() - start_);
        if (left <= milliseconds(0)) return end(CURLE_OPERATION_TIMEDOUT);
        // TCP may stand at any moment: never sleep past the bound that it would set.
        const auto nap = std::min(left, milliseconds(timeouts_.greeting));
        timer_ = wire_.reactor_.after(nap + milliseconds(1), [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->look_at_the_clock();
        });
    }

    void end(CURLcode code) {
        const auto self = shared_from_this();
        timer_.reset();
        if (const auto then = std::exchange(then_, nullptr)) then(code);
    }

    CurlWire& wire_;
    const ClientTimeouts timeouts_;
    std::function<void(CURLcode)> then_;
    const steady_clock::time_point start_ = steady_clock::now();
    std::unique_ptr<Reactor::Timer> timer_;
};

CurlWire::~CurlWire() {
    if (socket_ != CURL_SOCKET_BAD) reactor_.unwatch(socket_);
    if (easy_ == nullptr) return;
    multi_.remove(easy_);
    curl_easy_cleanup(easy_);
}

Result<void> CurlWire::set_up(const Endpoint& endpoint, const CurlWireOptions& options) {
    easy_ = curl_easy_init();
    if (easy_ == nullptr) return fail(Error::Kind::unavailable, "libcurl: no memory");
    const auto url = url_of(easy_, endpoint, options.hostname);
    const auto& timeouts = options.timeouts;
    const milliseconds opening = timeouts.connect + timeouts.greeting;
    return set_all({
        curl_easy_setopt(easy_, CURLOPT_URL, url.c_str()),
        curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "smtp"),
        curl_easy_setopt(easy_, CURLOPT_CONNECT_ONLY, 1L),
        curl_easy_setopt(easy_, CURLOPT_FRESH_CONNECT, 1L),
        // A cached connection is one that is being used: it is never too old.
        curl_easy_setopt(easy_, CURLOPT_MAXAGE_CONN,
                         static_cast<long>(std::numeric_limits<int>::max())),
        curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L),
        // To libcurl connecting ends with the reply to EHLO; Opening knows the two apart.
        curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(opening.count())),
        curl_easy_setopt(easy_, CURLOPT_SERVER_RESPONSE_TIMEOUT,
                         static_cast<long>(timeouts.greeting.count())),
        curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &CurlWire::on_line),
        curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this),
        curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, complaint_.data()),
    });
}

Result<void> CurlWire::set_up_way_out(const Endpoint& endpoint, const WayOut& way_out) {
    const auto source = std::ranges::find_if(way_out.sources, [&](const std::string& address) {
        return is_ipv6(address) == is_ipv6(endpoint.address);
    });
    if (source != way_out.sources.end()) {
        source_ = *source;
        // An address, never the name of a network interface.
        MAILROOT_TRY(
            set_all({curl_easy_setopt(easy_, CURLOPT_INTERFACE, ("host!" + source_).c_str())}));
    }
    proxied_ = !way_out.proxy.empty();
    // What is empty is none: the environment has no say.
    MAILROOT_TRY(set_all({
        curl_easy_setopt(easy_, CURLOPT_PROXY, way_out.proxy.c_str()),
        curl_easy_setopt(easy_, CURLOPT_NOPROXY, ""),
        curl_easy_setopt(easy_, CURLOPT_SOCKS5_AUTH, CURLAUTH_BASIC),
    }));
    if (way_out.proxy_user.empty()) return {};
    return set_all({
        curl_easy_setopt(easy_, CURLOPT_PROXYUSERNAME, way_out.proxy_user.c_str()),
        curl_easy_setopt(easy_, CURLOPT_PROXYPASSWORD, way_out.proxy_password.c_str()),
    });
}

Result<void> CurlWire::set_up_tls(const Endpoint& endpoint, const CurlWireOptions& options) {
    const auto policy = endpoint.tls;
    const bool verify = policy == TlsPolicy::verify;
    const auto use = policy == TlsPolicy::none  ? CURLUSESSL_NONE
                     : policy == TlsPolicy::may ? CURLUSESSL_TRY
                                                : CURLUSESSL_ALL;
    const auto place = "::" + in_url(endpoint.address) + ":" + std::to_string(endpoint.port);
    connect_to_.reset(curl_slist_append(nullptr, place.c_str()));
    MAILROOT_TRY(set_all({
        curl_easy_setopt(easy_, CURLOPT_USE_SSL, static_cast<long>(use)),
        curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to_.get()),
        curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L),
        curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L),
        curl_easy_setopt(easy_, CURLOPT_SSL_SESSIONID_CACHE, 0L),
    }));
    if (policy == TlsPolicy::may || policy == TlsPolicy::encrypt) {
        // libcurl reads no authorities where nothing depends on them; the history tells who was
        // met all the same.
        MAILROOT_TRY(set_all({
            curl_easy_setopt(easy_, CURLOPT_SSL_CTX_FUNCTION, &CurlWire::on_tls),
            curl_easy_setopt(easy_, CURLOPT_SSL_CTX_DATA, options.trust.get()),
        }));
    }
    return set_authorities(easy_, options.authorities);
}

Task<Welcome> CurlWire::open(Endpoint endpoint, CurlWireOptions options,
                             const Credentials* credentials) {
    auto possible = set_up(endpoint, options);
    if (possible) possible = set_up_way_out(endpoint, options.way_out);
    if (possible) possible = set_up_tls(endpoint, options);
    if (possible && credentials != nullptr) possible = set_up_login(*credentials);
    if (!possible) {
        welcome_.trouble = possible.error().what;
        co_return std::move(welcome_);
    }
    auto start = [this, &options](auto then) {
        std::make_shared<Opening>(*this, options.timeouts, std::move(then))->start();
    };
    const auto code = co_await from_callback<CURLcode>(start);
    if (code == CURLE_OK) {
        curl_easy_getinfo(easy_, CURLINFO_ACTIVESOCKET, &socket_);
        // The first receive ties the connection to this handle: from then on libcurl does not count
        // it among the idle ones, whose health it checks and which it may close.
        if (const auto open = take_in(); !open) welcome_.trouble = open.error().what;
        welcome_.tls = tls_facts(endpoint.name);
        constexpr int k_completed = 250;
        if (const auto& hello = welcome_.to_hello(); hello.code != k_completed)
            welcome_.trouble =
                "the host broke SMTP: '" + hello.text() + "' in reply to EHLO or HELO";
        // libcurl goes on without where the host offers no way to log in that it knows.
        welcome_.login_failed = credentials != nullptr && !logged_in();
        if (welcome_.login_failed) welcome_.trouble = k_no_way_to_log_in;
    } else if (code == CURLE_LOGIN_DENIED && credentials != nullptr) {
        welcome_.login_failed = true;
        welcome_.trouble = login_trouble_of(*credentials);
    } else if (welcome_.trouble.empty()) {
        welcome_.tls_failed = is_of_tls(code) || (welcome_.tls_begun() && !welcome_.in_login());
        welcome_.trouble = welcome_.tls_failed ? tls_trouble_of(code) : trouble_of(code);
    }
    co_return std::move(welcome_);
}

Result<void> CurlWire::set_up_login(const Credentials& credentials) {
    MAILROOT_TRY(set_all({curl_easy_setopt(easy_, CURLOPT_USERNAME, credentials.user.c_str())}));
    if (credentials.kind == Credentials::Kind::password)
        return set_all({curl_easy_setopt(easy_, CURLOPT_PASSWORD, credentials.secret.c_str())});
    // Or libcurl would prefer CRAM-MD5 where that is offered, with the password that there is not.
    return set_all({
        curl_easy_setopt(easy_, CURLOPT_LOGIN_OPTIONS, "AUTH=OAUTHBEARER;AUTH=XOAUTH2"),
        curl_easy_setopt(easy_, CURLOPT_XOAUTH2_BEARER, credentials.secret.c_str()),
    });
}

bool CurlWire::logged_in() const {
    constexpr int k_authenticated = 235;  // RFC 4954 4
    return std::ranges::any_of(welcome_.replies,
                               [](const Reply& reply) { return reply.code == k_authenticated; });
}

/// libcurl knows its session only once something was received.
TlsFacts CurlWire::tls_facts(const std::string& host) const {
    const curl_tlssessioninfo* info = nullptr;
    const auto asked = curl_easy_getinfo(easy_, CURLINFO_TLS_SSL_PTR, &info);
    if (asked != CURLE_OK || info->backend != CURLSSLBACKEND_OPENSSL || info->internals == nullptr)
        return {};
    return facts_of_session(info->internals, host);
}

std::string CurlWire::login_trouble_of(const Credentials& credentials) const {
    // A host that said no more after the reply to EHLO was not even asked.
    const bool asked = !welcome_.replies.empty() &&
                       kind_of(welcome_.replies.back().code) != Verdict::Kind::delivered;
    if (!asked) return k_no_way_to_log_in;
    // What the host says goes to logs and reports, and it may say what it was shown.
    return "login refused: " + redacted(welcome_.replies.back().text(), credentials.secret);
}

std::string CurlWire::tls_trouble_of(CURLcode code) const {
    if (code == CURLE_USE_SSL_FAILED) return "the host does not offer TLS, and it is asked for";
    if (code == CURLE_OPERATION_TIMEDOUT) return "timed out in the TLS handshake";
    const std::string words(complaint_.data());
    return "no TLS: " + (words.empty() ? lower_case(curl_easy_strerror(code)) : words);
}

CURLcode CurlWire::on_tls(CURL* /*easy*/, void* context, void* trust) {
    static_cast<const TrustStore*>(trust)->judge(context);
    return CURLE_OK;
}

std::size_t CurlWire::on_line(char* octets, std::size_t size, std::size_t count, void* self) {
    auto* wire = static_cast<CurlWire*>(self);
    wire->hear({octets, size * count});
    return wire->welcome_.trouble.empty() ? size * count : 0;
}

void CurlWire::hear(std::string_view line) {
    replies_.feed(line);
    auto reply = replies_.next();
    if (!reply) {
        welcome_.trouble = reply.error().what;
    } else if (*reply) {
        welcome_.replies.push_back(std::move(**reply));
    }
}

std::string CurlWire::trouble_of(CURLcode code) {
    const std::string place = welcome_.replies.empty() ? "the greeting came"
                              : welcome_.in_login()    ? "the login was over"
                                                       : "the reply to EHLO came";
    curl_off_t connected = 0;
    curl_easy_getinfo(easy_, CURLINFO_CONNECT_TIME_T, &connected);
    if (connected == 0) return connect_trouble_of(code);
    if (code == CURLE_OPERATION_TIMEDOUT) return "timed out before " + place;
    return "connection closed before " + place;
}

std::string CurlWire::connect_trouble_of(CURLcode code) const {
    long number = 0;
    curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &number);
    auto words = lower_case(curl_easy_strerror(code));
    if (code == CURLE_OPERATION_TIMEDOUT) {
        words = "connection timed out";
    } else if (code == CURLE_PROXY) {
        words = proxy_trouble();
    } else if (number != 0) {
        words = lower_case(std::system_category().message(static_cast<int>(number)));
    }
    if (code == CURLE_INTERFACE_FAILED) return "cannot connect from " + source_ + ": " + words;
    return proxied_ ? "proxy: " + words : words;
}

/// What it answered (RFC 1928 6, RFC 1929 2).
std::string CurlWire::proxy_trouble() const {
    long code = CURLPX_OK;
    curl_easy_getinfo(easy_, CURLINFO_PROXY_ERROR, &code);
    switch (code) {
        case CURLPX_NO_AUTH:
        case CURLPX_USER_REJECTED:
            return "login refused";
        case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
            return "general failure";
        case CURLPX_REPLY_NOT_ALLOWED:
            return "not allowed";
        case CURLPX_REPLY_NETWORK_UNREACHABLE:
            return "the network is unreachable";
        case CURLPX_REPLY_HOST_UNREACHABLE:
            return "the host is unreachable";
        case CURLPX_REPLY_CONNECTION_REFUSED:
            return "the host refuses the connection";
        case CURLPX_REPLY_TTL_EXPIRED:
            return "time to live expired";
        default:
            return complaint_.data();  // libcurl's words are all there is
    }
}

Result<std::size_t> CurlWire::send_some(std::string_view octets) {
    std::size_t sent = 0;
    const auto code = curl_easy_send(easy_, octets.data(), octets.size(), &sent);
    if (code != CURLE_OK && code != CURLE_AGAIN) return lost("connection lost");
    return sent;
}

Result<void> CurlWire::take_in() {
    std::array<char, 16384> portion;
    while (replies_.pending() < k_max_pending) {
        std::size_t count = 0;
        const auto code = curl_easy_recv(easy_, portion.data(), portion.size(), &count);
        if (code == CURLE_AGAIN) return {};
        if (code != CURLE_OK) return lost("connection lost");
        if (count == 0) return lost("connection closed by the host");
        replies_.feed({portion.data(), count});
    }
    return fail(Error::Kind::protocol, "the host broke SMTP: it talks without end");
}

Task<Result<bool>> CurlWire::send(std::string_view octets, milliseconds most, OnInput on_input) {
    while (!octets.empty()) {
        if (auto open = take_in(); !open) co_return fail(std::move(open));
        if (on_input == OnInput::stop && has_input()) co_return false;
        const auto sent = send_some(octets);
        if (!sent) co_return lost(sent.error().what);
        octets.remove_prefix(*sent);
        if (*sent > 0) continue;
        // Also for its replies: a server that waits for us to read may not read on before.
        const bool in_time =
            co_await ready({.readable = true, .writable = true}, steady_clock::now() + most);
        if (!in_time) co_return lost("timed out");
    }
    co_return true;
}

Task<Result<Reply>> CurlWire::reply(milliseconds most) {
    const auto deadline = steady_clock::now() + most;
    for (;;) {
        auto taken = take_in();
        auto next = replies_.next();
        if (!next) co_return fail(std::move(next));
        if (*next) co_return std::move(**next);  // what came before the connection broke counts
        if (!taken) co_return fail(std::move(taken));
        const bool in_time = co_await ready({.readable = true}, deadline);
        if (!in_time) co_return lost("timed out");
    }
}

Task<bool> CurlWire::ready(Reactor::Readiness wanted, Deadline deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (left <= milliseconds(0)) co_return false;
    auto start = [this, wanted, left](auto then) {
        std::make_shared<Race>(reactor_, socket_, std::move(then))->start(wanted, left);
    };
    co_return co_await from_callback<bool>(start);
}

}  // namespace mailroot::smtp
