#include "smtp/command_line.hpp"

namespace mailroot::smtp {

bool CommandLineReader::take(std::string_view& wire, std::size_t most) {
    if (whole_) {
        line_.clear();
        too_long_ = false;
    }
    begun_ = !wire.empty();
    const std::size_t end = wire.find('\n');
    const auto part = wire.substr(0, end);
    whole_ = end != std::string_view::npos;
    wire.remove_prefix(part.size() + (whole_ ? 1 : 0));

    // One octet more is kept, for it may be the CR.
    if (line_.size() + part.size() > most + 1) too_long_ = true;
    if (!too_long_) line_ += part;
    if (!whole_) return false;
    if (line_.ends_with('\r')) line_.pop_back();
    if (line_.size() > most) too_long_ = true;
    return true;
}

}  // namespace mailroot::smtp
