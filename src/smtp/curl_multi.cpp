#include "smtp/curl_multi.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace mailroot::smtp {

namespace {

// Every connection that stands idle in libcurl's cache is one that a ClientConnection owns, so none
// may ever be closed to make room.
constexpr long k_max_connections = 1'000'000;

tl::unexpected<Error> unavailable(const std::string& reason) {
    return fail(Error::Kind::unavailable, "libcurl: " + reason);
}

Result<void> initialise_once() {
    static const CURLcode outcome = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (outcome != CURLE_OK) return unavailable(curl_easy_strerror(outcome));
    return {};
}

}  // namespace

Result<std::unique_ptr<CurlMulti>> CurlMulti::open(Reactor& reactor) {
    MAILROOT_TRY(initialise_once());
    std::unique_ptr<CurlMulti> multi(new CurlMulti(reactor));
    MAILROOT_TRY(multi->set_up());
    return multi;
}

Result<void> CurlMulti::set_up() {
    multi_ = curl_multi_init();
    if (multi_ == nullptr) return unavailable("no memory");
    for (const auto outcome : {
             curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::on_socket),
             curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this),
             curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::on_timer),
             curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this),
             curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, k_max_connections),
         }) {
        if (outcome != CURLM_OK) return unavailable(curl_multi_strerror(outcome));
    }
    return {};
}

CurlMulti::~CurlMulti() {
    while (!transfers_.empty()) remove(transfers_.begin()->first);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
}

Result<void> CurlMulti::add(CURL* easy, Done done) {
    transfers_[easy] = std::make_shared<Done>(std::move(done));
    const auto outcome = curl_multi_add_handle(multi_, easy);
    if (outcome == CURLM_OK) return {};
    transfers_.erase(easy);
    return unavailable(curl_multi_strerror(outcome));
}

void CurlMulti::remove(CURL* easy) {
    if (transfers_.erase(easy) > 0) curl_multi_remove_handle(multi_, easy);
}

int CurlMulti::on_socket(CURL*, curl_socket_t fd, int wanted, void* self, void*) {
    auto* multi = static_cast<CurlMulti*>(self);
    if (wanted == CURL_POLL_REMOVE) {
        multi->reactor_.unwatch(fd);
        return 0;
    }
    const Reactor::Readiness readiness{.readable = (wanted & CURL_POLL_IN) != 0,
                                       .writable = (wanted & CURL_POLL_OUT) != 0};
    multi->reactor_.watch(fd, readiness, [multi, fd](Reactor::Readiness ready) {
        multi->act(
            fd, (ready.readable ? CURL_CSELECT_IN : 0) | (ready.writable ? CURL_CSELECT_OUT : 0));
    });
    return 0;
}

int CurlMulti::on_timer(CURLM*, long delay_ms, void* self) {
    auto* multi = static_cast<CurlMulti*>(self);
    multi->timer_.reset();
    if (delay_ms < 0) return 0;
    multi->timer_ = multi->reactor_.after(std::chrono::milliseconds(delay_ms),
                                          [multi] { multi->act(CURL_SOCKET_TIMEOUT, 0); });
    return 0;
}

void CurlMulti::act(curl_socket_t fd, int ready) {
    int running = 0;
    curl_multi_socket_action(multi_, fd, ready, &running);
    report_finished();
}

void CurlMulti::report_finished() {
    int left = 0;
    while (const auto* message = curl_multi_info_read(multi_, &left)) {
        const auto transfer = transfers_.find(message->easy_handle);
        if (message->msg != CURLMSG_DONE || transfer == transfers_.end()) continue;
        // Held weakly: the transfer may be removed before it is its turn.
        reactor_.post([done = std::weak_ptr(transfer->second), code = message->data.result] {
            if (const auto alive = done.lock()) (*alive)(code);
        });
    }
}

Result<void> set_all(std::initializer_list<CURLcode> outcomes) {
    for (const auto outcome : outcomes) {
        if (outcome != CURLE_OK) return unavailable(curl_easy_strerror(outcome));
    }
    return {};
}

Result<void> set_authorities(CURL* easy, const std::string& file) {
    if (file.empty()) return {};
    return set_all({curl_easy_setopt(easy, CURLOPT_CAINFO, file.c_str()),
                    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr)});
}

}  // namespace mailroot::smtp
