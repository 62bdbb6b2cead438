#include "message/header.hpp"

#include "core/address.hpp"

#include <algorithm>

namespace mailroot::message {

namespace {

bool is_white(char c) {
    return c == ' ' || c == '\t';
}

/// ftext of RFC 5322 3.6.8.
bool is_name_octet(char c) {
    return c > ' ' && c < 0x7f && c != ':';
}

/// Octets of the line at the start of `text`, its LF included.
std::size_t line_length(std::string_view text) {
    const std::size_t end = text.find('\n');
    return end == std::string_view::npos ? text.size() : end + 1;
}

std::string_view without_line_end(std::string_view line) {
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

/// Octets of the line at the start of `text` and those that continue it.
std::size_t folded_length(std::string_view text) {
    std::size_t length = 0;
    do {
        length += line_length(text.substr(length));
    } while (length < text.size() && is_white(text[length]));
    return length;
}

}  // namespace

std::optional<Field> parse_field(std::string_view text) {
    const auto end = std::ranges::find_if_not(text, is_name_octet);
    const auto length = static_cast<std::size_t>(end - text.begin());
    // RFC 5322 4.5: white space before the colon is obsolete, yet to be understood.
    const std::size_t colon = text.find_first_not_of(" \t", length);
    if (length == 0 || colon == std::string_view::npos || text[colon] != ':') return std::nullopt;
    Field field;
    field.name = text.substr(0, length);
    field.whole = text.substr(0, folded_length(text));
    field.value = without_line_end(field.whole).substr(colon + 1);
    field.line = 1;
    return field;
}

Header parse_header(std::string_view text) {
    Header header;
    int line = 1;
    while (header.body < text.size()) {
        const auto rest = text.substr(header.body);
        if (const std::size_t length = line_length(rest);
            without_line_end(rest.substr(0, length)).empty()) {
            header.body += length;
            break;
        }
        auto field = parse_field(rest);
        if (!field) break;
        field->line = line;
        line += static_cast<int>(std::ranges::count(field->whole, '\n'));
        header.body += field->whole.size();
        header.fields.push_back(*field);
    }
    return header;
}

std::optional<Field> find_field(const Header& header, std::string_view name) {
    const auto found = std::ranges::find_if(header.fields, [name](const Field& field) {
        return equal_ignoring_case(field.name, name);
    });
    if (found == header.fields.end()) return std::nullopt;
    return *found;
}

std::string unfolded(std::string_view value) {
    std::string line;
    line.reserve(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) {
        const bool crlf = value[i] == '\r' && value.substr(i + 1).starts_with('\n');
        // A bare CR would be a line end to somebody further on.
        if (value[i] != '\n' && !crlf) line += value[i] == '\r' ? ' ' : value[i];
    }
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos) return {};
    return line.substr(first, line.find_last_not_of(" \t") + 1 - first);
}

}  // namespace mailroot::message
