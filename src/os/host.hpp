#pragma once

#include <string>
#include <vector>

namespace mailroot::os {

/// The machine's full name as the resolver knows it (`mx.example.com`), else its plain name, else
/// `localhost`. May ask the name servers, and waits for them.
[[nodiscard]] std::string machine_name();

/// The addresses of this machine's interfaces: `192.0.2.1`, `2001:db8::1`.
[[nodiscard]] std::vector<std::string> machine_addresses();

}  // namespace mailroot::os
