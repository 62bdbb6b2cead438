#pragma once

#include <string>

namespace mailroot::os {

/// The machine's full name as the resolver knows it (`mx.example.com`), else its plain name, else
/// `localhost`. May ask the name servers, and waits for them.
[[nodiscard]] std::string machine_name();

}  // namespace mailroot::os
