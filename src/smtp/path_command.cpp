#include "smtp/path_command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <span>
#include <string>

namespace mailroot::smtp {

namespace {

std::string_view skip_spaces(std::string_view text) {
    return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

/// The path at the start of `text`; `length` is set to the octets it takes.
Result<Address> path_at_start(std::string_view text, std::size_t& length) {
    if (text.starts_with('<')) return parse_path(text, length);
    length = std::min(text.find(' '), text.size());
    return parse_address(text.substr(0, length));
}

std::vector<Parameter> split_parameters(std::string_view text) {
    std::vector<Parameter> parameters;
    for (text = skip_spaces(text); !text.empty(); text = skip_spaces(text)) {
        const auto word = text.substr(0, text.find(' '));
        const std::size_t equals = std::min(word.find('='), word.size());
        const std::size_t value = std::min(equals + 1, word.size());
        parameters.push_back({word.substr(0, equals), word.substr(value)});
        text.remove_prefix(word.size());
    }
    return parameters;
}

/// What MAIL and RCPT differ in.
struct Form {
    std::string_view introducer;
    std::string_view syntax;
    std::string_view bad_path;  ///< enhanced code (RFC 3463 3.2)
};
constexpr Form k_mail_form{"FROM:", "Syntax: MAIL FROM:<address>", "5.1.7"};
constexpr Form k_rcpt_form{"TO:", "Syntax: RCPT TO:<address>", "5.1.3"};

tl::expected<PathCommand, Reply> parse(std::string_view argument, const Form& form) {
    const auto introducer = argument.substr(0, form.introducer.size());
    if (!equal_ignoring_case(introducer, form.introducer)) {
        return tl::unexpected(reply(501, "5.5.4", std::string(form.syntax)));
    }
    const auto text = skip_spaces(argument.substr(introducer.size()));
    std::size_t length = 0;
    auto path = path_at_start(text, length);
    if (!path) return tl::unexpected(reply(501, form.bad_path, "Invalid address"));
    const auto rest = text.substr(length);
    if (!rest.empty() && !rest.starts_with(' ')) {
        return tl::unexpected(reply(501, "5.5.4", std::string(form.syntax)));
    }
    return PathCommand{*std::move(path), split_parameters(rest)};
}

struct MailTarget {
    std::uint64_t message_size;
    Envelope& envelope;
};

std::optional<Reply> take_body(std::string_view value, MailTarget& target) {
    if (equal_ignoring_case(value, "7BIT")) {
        target.envelope.body = Body::seven_bit;
    } else if (equal_ignoring_case(value, "8BITMIME")) {
        target.envelope.body = Body::eight_bit_mime;
    } else {
        return reply(501, "5.5.4", "Unsupported BODY type");
    }
    return std::nullopt;
}

std::optional<Reply> take_size(std::string_view value, MailTarget& target) {
    std::uint64_t size = 0;
    const auto end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, size);
    if (stop != end || error == std::errc::invalid_argument) {
        return reply(501, "5.5.4", "Bad value of SIZE");
    }
    if (error == std::errc::result_out_of_range) size = std::numeric_limits<std::uint64_t>::max();
    if (target.message_size != 0 && size > target.message_size) {
        return reply(552, "5.3.4", "Message size exceeds fixed maximum message size");
    }
    return std::nullopt;
}

template <class Target>
struct Row {
    std::string_view keyword;
    std::optional<Reply> (*take)(std::string_view value, Target& target);
};

constexpr std::array k_mail_parameters{
    Row<MailTarget>{"BODY", take_body},  // RFC 6152
    Row<MailTarget>{"SIZE", take_size},  // RFC 1870
};

template <class Target>
std::optional<Reply> take_all(const std::vector<Parameter>& parameters,
                              std::span<const Row<Target>> known, Target& target) {
    for (const auto& parameter : parameters) {
        const auto same = [&](std::string_view keyword) {
            return equal_ignoring_case(keyword, parameter.keyword);
        };
        const auto row = std::ranges::find_if(known, same, &Row<Target>::keyword);
        if (row == known.end()) return reply(555, "5.5.4", "Unsupported parameter");
        if (std::ranges::count_if(parameters, same, &Parameter::keyword) > 1) {
            return reply(501, "5.5.4", "Parameter given twice");
        }
        if (auto refusal = row->take(parameter.value, target)) return refusal;
    }
    return std::nullopt;
}

}  // namespace

tl::expected<PathCommand, Reply> parse_mail(std::string_view argument) {
    return parse(argument, k_mail_form);
}

tl::expected<PathCommand, Reply> parse_rcpt(std::string_view argument) {
    auto command = parse(argument, k_rcpt_form);
    if (command && command->path.is_null()) {
        return tl::unexpected(reply(501, k_rcpt_form.bad_path, "Invalid address"));
    }
    return command;
}

std::optional<Reply> take_mail_parameters(const std::vector<Parameter>& parameters,
                                          std::uint64_t message_size, Envelope& envelope) {
    MailTarget target{message_size, envelope};
    return take_all<MailTarget>(parameters, k_mail_parameters, target);
}

std::optional<Reply> take_rcpt_parameters(const std::vector<Parameter>& parameters) {
    if (parameters.empty()) return std::nullopt;
    return reply(555, "5.5.4", "Unsupported parameter");
}

}  // namespace mailroot::smtp
