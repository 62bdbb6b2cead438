#include "smtp/path_command.hpp"

#include "message/utf8.hpp"
#include "message/xtext.hpp"

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
    const MailTerms& terms;
    Envelope& envelope;
    std::uint64_t& announced;
};

std::optional<Reply> take_body(std::string_view value, MailTarget& target) {
    if (equal_ignoring_case(value, "7BIT")) {
        target.envelope.body = Body::seven_bit;
    } else if (equal_ignoring_case(value, "8BITMIME")) {
        target.envelope.body = Body::eight_bit_mime;
    } else if (equal_ignoring_case(value, "BINARYMIME")) {
        target.envelope.body = Body::binary_mime;
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
    if (target.terms.message_size != 0 && size > target.terms.message_size) {
        return reply(552, "5.3.4", "Message size exceeds fixed maximum message size");
    }
    target.announced = size;
    return std::nullopt;
}

std::optional<Reply> take_utf8(std::string_view value, MailTarget& target) {
    if (!value.empty()) return reply(501, "5.5.4", "SMTPUTF8 takes no value");
    target.envelope.utf8 = true;
    return std::nullopt;
}

std::optional<Reply> take_ret(std::string_view value, MailTarget& target) {
    if (!equal_ignoring_case(value, "FULL") && !equal_ignoring_case(value, "HDRS")) {
        return reply(501, "5.5.4", "Bad value of RET");
    }
    target.envelope.ret = value;
    return std::nullopt;
}

bool is_hex_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/// RFC 3461 4: printable ASCII without `+` and `=`, which are written as `+2B` and `+3D`.
bool is_xtext(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool quoted = text[i] == '+' && i + 2 < text.size() && is_hex_digit(text[i + 1]) &&
                            is_hex_digit(text[i + 2]);
        if (!quoted && (text[i] == '+' || text[i] == '=')) return false;
        if (text[i] <= ' ' || text[i] > '~') return false;
    }
    return true;
}

/// RFC 6533 3: behind the type `utf-8`, where SMTPUTF8 was asked for UTF-8 may stand for itself.
bool is_utf8_xtext(std::string_view text, bool utf8) {
    std::string in_ascii(text);
    std::ranges::replace_if(
        in_ascii, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, 'x');
    return (utf8 || message::is_ascii(text)) && is_xtext(in_ascii) &&
           message::utf8_xtext_decoded(text);
}

/// RFC 5322 3.2.3
bool is_atom(std::string_view text) {
    static constexpr std::string_view k_specials = "()<>[]:;@\\,.\"";
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return c > ' ' && c <= '~' && k_specials.find(c) == std::string_view::npos;
    });
}

std::optional<Reply> take_envid(std::string_view value, MailTarget& target) {
    constexpr std::size_t k_longest = 100;  // RFC 3461 4.4
    if (value.empty() || value.size() > k_longest || !is_xtext(value)) {
        return reply(501, "5.5.4", "Bad value of ENVID");
    }
    target.envelope.envid = value;
    return std::nullopt;
}

/// Who wrote the message, says a client that was authenticated (RFC 4954 5). We vouch for nobody,
/// so that it is read and forgotten.
std::optional<Reply> take_auth(std::string_view value, MailTarget& target) {
    if (!target.terms.auth) return reply(555, "5.5.4", "Unsupported parameter");
    if (value.empty() || !is_xtext(value)) return reply(501, "5.5.4", "Bad value of AUTH");
    return std::nullopt;
}

struct RcptTarget {
    Recipient& recipient;
    bool utf8;  ///< SMTPUTF8 was asked for
};

std::optional<Reply> take_notify(std::string_view value, RcptTarget& target) {
    const auto bad = [] { return reply(501, "5.5.4", "Bad value of NOTIFY"); };
    constexpr std::array k_events{"SUCCESS", "FAILURE", "DELAY"};
    if (!equal_ignoring_case(value, "NEVER")) {
        for (auto rest = value; !rest.empty() || value.empty();) {
            const auto event = rest.substr(0, rest.find(','));
            const bool known = std::ranges::any_of(
                k_events, [event](auto each) { return equal_ignoring_case(each, event); });
            if (!known || rest.ends_with(',')) return bad();
            rest.remove_prefix(std::min(rest.size(), event.size() + 1));
        }
    }
    target.recipient.notify = value;
    return std::nullopt;
}

std::optional<Reply> take_orcpt(std::string_view value, RcptTarget& target) {
    constexpr std::size_t k_longest = 500;  // RFC 3461 4.2
    const auto type = value.substr(0, value.find(';'));
    const auto address = value.substr(std::min(value.size(), type.size() + 1));
    const bool legal = equal_ignoring_case(type, "utf-8") ? is_utf8_xtext(address, target.utf8)
                                                          : is_atom(type) && is_xtext(address);
    if (address.empty() || value.size() > k_longest || !legal) {
        return reply(501, "5.5.4", "Bad value of ORCPT");
    }
    target.recipient.orcpt = value;
    return std::nullopt;
}

template <class Target>
struct Row {
    std::string_view keyword;
    std::optional<Reply> (*take)(std::string_view value, Target& target);
};

constexpr std::array k_mail_parameters{
    Row<MailTarget>{"AUTH", take_auth},      // RFC 4954
    Row<MailTarget>{"BODY", take_body},      // RFC 6152, RFC 3030
    Row<MailTarget>{"ENVID", take_envid},    // RFC 3461
    Row<MailTarget>{"RET", take_ret},        // RFC 3461
    Row<MailTarget>{"SIZE", take_size},      // RFC 1870
    Row<MailTarget>{"SMTPUTF8", take_utf8},  // RFC 6531
};

constexpr std::array k_rcpt_parameters{
    Row<RcptTarget>{"NOTIFY", take_notify},  // RFC 3461
    Row<RcptTarget>{"ORCPT", take_orcpt},    // RFC 3461
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
                                          const MailTerms& terms, Envelope& envelope,
                                          std::uint64_t& announced) {
    MailTarget target{terms, envelope, announced};
    return take_all<MailTarget>(parameters, k_mail_parameters, target);
}

std::optional<Reply> take_rcpt_parameters(const std::vector<Parameter>& parameters, bool utf8,
                                          Recipient& recipient) {
    RcptTarget target{recipient, utf8};
    return take_all<RcptTarget>(parameters, k_rcpt_parameters, target);
}

std::optional<Reply> refuse_beyond_ascii(const Address& address, bool utf8) {
    const auto text = address.text();
    if (message::is_ascii(text)) return std::nullopt;
    if (!message::is_utf8(text)) return reply(501, "5.5.2", "The address is not UTF-8");
    if (utf8) return std::nullopt;
    return reply(553, "5.6.7", "Such an address needs SMTPUTF8");
}

}  // namespace mailroot::smtp
