#pragma once

#include "core/reactor.hpp"
#include "core/result.hpp"

#include <curl/curl.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>

namespace mailroot::smtp {

/// libcurl's multi interface on a Reactor: libcurl says which sockets and which timer it wants, and
/// is called when they are ready.
class CurlMulti {
 public:
    /// `reactor` must outlive the CurlMulti. Kind::unavailable where libcurl cannot be set up.
    static Result<std::unique_ptr<CurlMulti>> open(Reactor& reactor);

    ~CurlMulti();
    CurlMulti(const CurlMulti&) = delete;
    CurlMulti& operator=(const CurlMulti&) = delete;

    /// Starts the transfer of `easy`, which stays the caller's. `done` is called once, from the
    /// loop, never from within add() or a call of libcurl's; it may remove any transfer.
    Result<void> add(CURL* easy, std::function<void(CURLcode)> done);

    /// Ends the transfer and closes its connection; its `done` is not called any more. To be called
    /// before the handle is cleaned up.
    void remove(CURL* easy);

 private:
    explicit CurlMulti(Reactor& reactor) : reactor_(reactor) {}

    static int on_socket(CURL* easy, curl_socket_t fd, int wanted, void* self, void* socket);
    static int on_timer(CURLM* multi, long delay_ms, void* self);

    Result<void> set_up();
    void act(curl_socket_t fd, int ready);
    void report_finished();

    using Done = std::function<void(CURLcode)>;

    Reactor& reactor_;
    CURLM* multi_ = nullptr;
    std::unique_ptr<Reactor::Timer> timer_;
    std::map<CURL*, std::shared_ptr<Done>> transfers_;
};

/// Of options of a handle that were just set. Kind::unavailable where libcurl refused one.
Result<void> set_all(std::initializer_list<CURLcode> outcomes);

/// Who is trusted to sign certificates: a PEM file; empty: the system's.
Result<void> set_authorities(CURL* easy, const std::string& file);

}  // namespace mailroot::smtp
