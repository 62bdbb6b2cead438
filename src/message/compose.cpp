#include "message/compose.hpp"

#include "core/text.hpp"
#include "message/mime_text.hpp"
#include "message/received.hpp"
#include "message/utf8.hpp"

#include <algorithm>
#include <array>

namespace mailroot::message {

namespace {

constexpr std::size_t k_longest_line = 998;  // RFC 5322 2.1.1

/// Whether a field without structure must be encoded: beyond ASCII, or a word no fold can tame.
bool needs_encoding(std::string_view text) {
    std::size_t word = 0;
    std::size_t longest = 0;
    for (const char c : text) longest = std::max(longest, word = c == ' ' ? 0 : word + 1);
    return !is_ascii(text) || longest > 900;
}

/// A field of free text, such as Subject.
std::string text_field(std::string_view name, std::string_view value) {
    const std::string line = on_one_line(trimmed(value));
    std::string field = std::string(name) + ": ";
    field += needs_encoding(line) ? encoded_words(line, field.size())
                                  : wrapped(line, field.size(), "\r\n ");
    return field + "\r\n";
}

/// Follows quoted strings, comments and angle brackets, where a comma or `<` is no separator.
class AddressSyntax {
 public:
    /// Whether `c` stands outside of all of them.
    bool outside(char c) {
        const bool was_outside = !quoted_ && comments_ == 0;
        if (escaped_) {
            escaped_ = false;
        } else if (c == '\\') {
            escaped_ = true;
        } else if (quoted_) {
            quoted_ = c != '"';
        } else if (comments_ == 0 && c == '"') {
            quoted_ = true;
        } else if (c == '(') {
            ++comments_;
        } else if (c == ')' && comments_ > 0) {
            --comments_;
        }
        return was_outside;
    }

 private:
    bool quoted_ = false;
    bool escaped_ = false;
    int comments_ = 0;
};

/// The position of `wanted` outside quoted strings and comments, or npos.
std::size_t find_outside(std::string_view text, char wanted) {
    AddressSyntax syntax;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (syntax.outside(text[i]) && text[i] == wanted) return i;
    }
    return std::string_view::npos;
}

/// A mailbox as it stands in the header: RFC 2047 5 lets encoded words stand for a display name
/// only, so an address beyond ASCII stays as it is (RFC 6532).
std::string mailbox_text(std::string_view typed, std::size_t column) {
    std::string_view name;
    std::string_view path;
    if (const std::size_t angle = find_outside(typed, '<'); angle != std::string_view::npos) {
        name = trimmed(typed.substr(0, angle));
        path = typed.substr(angle);
    }
    if (is_ascii(name)) return std::string(typed);
    const std::string words = encoded_words(unquoted(name), column);
    const std::size_t last_line = words.size() - (words.rfind('\n') + 1);
    return words + (last_line + path.size() < 76 ? " " : "\r\n ") + std::string(path);
}

std::vector<std::string_view> split_at_commas(std::string_view list) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t comma = find_outside(list, ',');
        if (const auto part = trimmed(list.substr(0, comma)); !part.empty()) parts.push_back(part);
        if (comma == std::string_view::npos) return parts;
        list.remove_prefix(comma + 1);
    }
}

/// A field of addresses: a line holds as many as fit.
std::string address_field(std::string_view name, std::string_view value) {
    const std::string line = on_one_line(value);
    std::string field = std::string(name) + ':';
    std::string_view separator = " ";
    for (const auto typed : split_at_commas(line)) {
        const std::size_t column = field.size() - (field.rfind('\n') + 1);
        const bool fits = column + 2 + typed.size() <= 76;
        if (separator != " ")
            field += fits ? ", " : ",\r\n ";
        else
            field += ' ';
        field += mailbox_text(typed, field.size() - (field.rfind('\n') + 1));
        separator = ",";
    }
    return field + "\r\n";
}

std::string joined(const std::vector<std::string>& mailboxes) {
    std::string list;
    for (const auto& mailbox : mailboxes) list += (list.empty() ? "" : ", ") + mailbox;
    return list;
}

/// CRLF for every line end, and one at the end of a text that is not empty.
std::string with_crlf(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
        out.append(text.substr(0, end)).append("\r\n");
        text.remove_prefix(end);
        text.remove_prefix(text.starts_with("\r\n") ? 2 : text.empty() ? 0 : 1);
    }
    return out;
}

/// Whether the text may travel as it is (RFC 2045 2.7).
bool is_seven_bit(std::string_view text) {
    if (!is_ascii(text) || text.find('\0') != std::string_view::npos) return false;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        if (end > k_longest_line) return false;
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return true;
}

bool is_one_of(std::string_view name, const auto& names) {
    return std::ranges::any_of(names, [&](auto known) { return equal_ignoring_case(name, known); });
}

/// The field name with what cannot stand in one left out (RFC 5322 2.2).
std::string field_name(std::string_view typed) {
    std::string name;
    std::ranges::copy_if(typed, std::back_inserter(name),
                         [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
    return name;
}

/// A field the user gave. Bcc never leaves: who stands there is for the envelope.
std::string user_field(const std::pair<std::string, std::string>& header) {
    static constexpr std::array k_address_fields{"From",      "Sender",    "Reply-To",
                                                 "To",        "Cc",        "Resent-From",
                                                 "Resent-To", "Resent-Cc", "Resent-Sender"};
    static constexpr std::array k_never{"Bcc", "Resent-Bcc"};
    const std::string name = field_name(header.first);
    if (name.empty() || is_one_of(name, k_never)) return {};
    return is_one_of(name, k_address_fields) ? address_field(name, header.second)
                                             : text_field(name, header.second);
}

}  // namespace

std::string compose(const Draft& draft, const MessageId& id, std::string_view hostname,
                    TimePoint now) {
    const auto given = [&](std::string_view name) {
        return std::ranges::any_of(draft.headers, [&](const auto& header) {
            return equal_ignoring_case(field_name(header.first), name);
        });
    };
    // Who names an encoding has encoded the text.
    const std::string text = with_crlf(draft.text);
    const bool as_it_is = given("Content-Transfer-Encoding") || is_seven_bit(text);

    std::string message;
    const auto add = [&](std::string_view name, const std::string& field) {
        if (!given(name)) message += field;
    };
    add("Date", date_field(now));
    if (!draft.from.empty()) add("From", address_field("From", draft.from));
    if (!draft.to.empty()) add("To", address_field("To", joined(draft.to)));
    if (!draft.cc.empty()) add("Cc", address_field("Cc", joined(draft.cc)));
    if (!draft.subject.empty()) add("Subject", text_field("Subject", draft.subject));
    add("Message-ID", message_id_field(id, hostname));
    add("MIME-Version", "MIME-Version: 1.0\r\n");
    add("Content-Type", "Content-Type: text/plain; charset=utf-8\r\n");
    add("Content-Transfer-Encoding", as_it_is ? "Content-Transfer-Encoding: 7bit\r\n"
                                              : "Content-Transfer-Encoding: quoted-printable\r\n");
    for (const auto& header : draft.headers) message += user_field(header);
    message += "\r\n";
    return message + (as_it_is ? text : quoted_printable(text));
}

}  // namespace mailroot::message
