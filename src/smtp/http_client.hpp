#pragma once

#include "core/reactor.hpp"
#include "core/result.hpp"
#include "smtp/loop.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace mailroot::smtp {

/// A form that is sent to a web server.
struct HttpPost {
    std::string url;
    std::string form;        ///< `a=b&c=d`, encoded
    std::string user{};      ///< to log in as by HTTP Basic; empty: not at all
    std::string password{};  ///< the user's
};

struct HttpAnswer {
    int status = 0;
    std::string body;
};

/// Speaks with web servers.
class HttpClient {
 public:
    virtual ~HttpClient() = default;

    /// Any answer is one, whatever its status. Kind::unavailable says why there is none.
    virtual Task<Result<HttpAnswer>> post(HttpPost post) = 0;
};

/// A client over libcurl, by HTTPS alone; `authorities` is the PEM file of who is trusted to sign
/// certificates, empty for the system's. It is not led to another place, and waits no longer than
/// `most` for an answer. `reactor` must outlive it. Kind::unavailable where libcurl cannot be set
/// up.
Result<std::unique_ptr<HttpClient>> make_curl_http_client(Reactor& reactor, std::string authorities,
                                                          std::chrono::milliseconds most);

}  // namespace mailroot::smtp
