/// Command lines, and the arguments of MAIL and RCPT: the same however they are cut, and nothing
/// gets through that would end a line.

#include "core/verdict.hpp"
#include "require.hpp"
#include "smtp/command_line.hpp"
#include "smtp/path_command.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace mailroot;
using smtp::CommandLineReader;

namespace {

std::vector<std::string> lines(std::string_view octets, std::size_t portion) {
    std::vector<std::string> all;
    CommandLineReader reader;
    while (!octets.empty()) {
        const std::string own(octets.substr(0, portion));
        octets.remove_prefix(own.size());
        for (std::string_view rest = own; !rest.empty();) {
            if (!reader.take(rest, CommandLineReader::k_max_line)) continue;
            require(reader.too_long() || reader.line().size() <= CommandLineReader::k_max_line,
                    "a line is no longer than it may be");
            all.push_back(reader.too_long() ? "too long" : reader.line());
        }
    }
    return all;
}

bool is_control(char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
}

bool ends_no_line(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

void check_mail(std::string_view argument) {
    const auto command = smtp::parse_mail(argument);
    if (!command) return require(kind_of(command.error().code) == Verdict::Kind::failed, "5xx");
    Envelope envelope;
    std::uint64_t announced = 0;
    const auto refused =
        smtp::take_mail_parameters(command->parameters, {1000, true}, envelope, announced);
    if (refused) return;
    require(announced <= 1000, "what is announced is within the limit");
    require(ends_no_line(command->path.text()) && ends_no_line(envelope.envid) &&
                ends_no_line(envelope.ret),
            "nothing of MAIL ends a line");
}

void check_rcpt(std::string_view argument) {
    const auto command = smtp::parse_rcpt(argument);
    if (!command) return;
    require(!command->path.is_null(), "<> is no recipient");
    Recipient recipient;
    if (smtp::take_rcpt_parameters(command->parameters, true, recipient)) return;
    require(ends_no_line(command->path.text()) && ends_no_line(recipient.notify) &&
                ends_no_line(recipient.orcpt),
            "nothing of RCPT ends a line");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view octets(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto whole = lines(octets, octets.size() + 1);
    require(lines(octets, 1 + data[0] % 16) == whole, "lines do not depend on how they come");
    for (const auto& line : whole) {
        require(line.find('\n') == std::string::npos, "a line has no LF");
        if (std::ranges::any_of(line, is_control)) continue;  // a session refuses it
        check_mail(line);
        check_rcpt(line);
    }
    return 0;
}
