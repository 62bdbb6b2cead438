#pragma once

#include "config/settings.hpp"
#include "core/event_log.hpp"
#include "core/result.hpp"
#include "delivery/recipient_list.hpp"
#include "smtp/admission.hpp"
#include "smtp/server.hpp"
#include "smtp/server_options.hpp"

#include <memory>
#include <string>

namespace mailroot::commands {

/// The settings as the SMTP server takes them.
[[nodiscard]] smtp::ServerOptions server_options(const config::Settings& settings);

/// Likewise. Kind::config names the key and the network that is none.
Result<smtp::AdmissionOptions> admission_options(const config::Settings& settings);

/// The networks of one key. Kind::config names it.
Result<smtp::Networks> networks(const char* key, const std::vector<std::string>& texts);

/// What an entry of `listen` asks for.
[[nodiscard]] smtp::ListenerOptions listener_options(const std::string& entry);

/// What the settings leave to files of their own, and SIGHUP has read anew.
struct ServerFiles {
    smtp::ServerSecrets secrets;
    std::shared_ptr<const delivery::RecipientLists> recipients;
};

/// Reads them all. Kind::config names the file, the line and what is wrong.
Result<ServerFiles> read_server_files(const config::Settings& settings);

/// Warns of what was read and will soon be of no use: a certificate that runs out.
void warn_of(const ServerFiles& files, const Clock& clock, EventLog& log);

}  // namespace mailroot::commands
