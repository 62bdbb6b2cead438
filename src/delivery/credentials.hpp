#pragma once

#include "config/settings.hpp"
#include "core/result.hpp"
#include "delivery/context.hpp"
#include "smtp/client.hpp"
#include "smtp/http_client.hpp"

#include <chrono>
#include <map>
#include <memory>

namespace mailroot::delivery {

/// How long a program or a token endpoint may take to give a secret.
inline constexpr std::chrono::seconds k_secret_patience{20};

/// The logins at smart hosts. Each knows its secret for as long as it holds, and asks for another
/// one at a time, whoever waits for it.
class Logins {
 public:
    /// `context` and `http` must outlive the logins.
    Logins(const Context& context, smtp::HttpClient& http) : context_(context), http_(http) {}

    /// The one that the settings describe so; made when it is first asked for.
    smtp::Login& of(const config::SmartHostLogin& login);

 private:
    const Context& context_;
    smtp::HttpClient& http_;
    std::map<config::SmartHostLogin, std::unique_ptr<smtp::Login>> logins_;
};

/// Whether the files that the logins of the settings need can be read. Kind::config names the key.
Result<void> check_secrets(const config::Settings& settings);

}  // namespace mailroot::delivery
