#include "message/address_list.hpp"

#include <algorithm>
#include <string>

namespace mailroot::message {

namespace {

// Longer than any mailbox with a source route; keeps a hostile line out of the error's text.
constexpr std::size_t k_max_path = 1000;

// RFC 2047 section 2 says 75; writers who never fold an encoded word reach the line limit.
constexpr std::size_t k_max_encoded_word = 998;

/// Where the list stands: a header field, or a line of the envelope block.
enum class Place { header, envelope };

bool is_white(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_keyword_octet(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/// Between these and an atom white space and comments mean nothing (RFC 5322 4.4).
bool is_delimiter(char c) {
    return std::string_view(".@:,").find(c) != std::string_view::npos;
}

tl::unexpected<Error> bad(std::string what) {
    return fail(Error::Kind::parse, std::move(what));
}

/// Octets of the quoted string at the start of `text`, or 0 where it has no end.
std::size_t quoted_length(std::string_view text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            return i + 1;
        }
    }
    return 0;
}

/// Octets of the comment at the start of `text`, those inside it included, or 0 without an end.
std::size_t comment_length(std::string_view text) {
    std::size_t depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '(') {
            ++depth;
        } else if (text[i] == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/// Octets of the encoded word at the start of `text`, or 0 where there is none. It counts as one
/// word because some writers leave commas and quotes inside as they are.
std::size_t encoded_word_length(std::string_view text) {
    if (!text.starts_with("=?")) return 0;
    text = text.substr(0, k_max_encoded_word);
    const std::size_t charset = text.find('?', 2);
    if (charset == std::string_view::npos || text.find('?', charset + 1) != charset + 2) return 0;
    const std::size_t end = text.find("?=", charset + 3);
    if (end == std::string_view::npos) return 0;
    return std::ranges::any_of(text.substr(0, end), is_white) ? 0 : end + 2;
}

/// Reads an address list from left to right, one element after the other.
class ListReader {
 public:
    ListReader(std::string_view text, Place place) : text_(text), place_(place) {}

    Result<void> read();

    [[nodiscard]] std::size_t length() const { return at_; }
    [[nodiscard]] std::vector<Address> take() { return std::move(addresses_); }

 private:
    enum class Brackets { none, open, closed };

    Result<void> read_token();
    Result<void> read_special(char c);
    Result<void> read_word(std::size_t length, std::string_view missing);
    Result<void> skip_comment();
    Result<void> open_brackets();
    Result<void> close_brackets();
    Result<void> name_group();
    Result<void> end_element();
    void start_element();
    [[nodiscard]] bool at_parameter() const;
    [[nodiscard]] std::string& current() { return brackets_ == Brackets::open ? path_ : words_; }
    [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }

    std::string_view text_;
    Place place_;
    std::size_t at_ = 0;
    std::vector<Address> addresses_;

    // The element being read.
    Brackets brackets_ = Brackets::none;
    std::string words_;       ///< outside the brackets: a display name, or the address
    std::string path_;        ///< inside them
    bool separated_ = false;  ///< white space or a comment stands before the next token
    bool complete_ = false;   ///< an address was seen, parameters may follow
};

Result<void> ListReader::read() {
    while (at_ < text_.size() && !at_parameter()) MAILROOT_TRY(read_token());
    return end_element();
}

Result<void> ListReader::read_token() {
    const char c = text_[at_];
    if (is_white(c)) {
        separated_ = true;
        ++at_;
        return {};
    }
    if (c == '(') return skip_comment();
    if (c == '"') return read_word(quoted_length(rest()), "no closing quote");
    if (c == '[' && current().ends_with('@')) {
        return read_word(rest().find(']') + 1, "no ']' behind the address literal");
    }
    if (brackets_ == Brackets::open && c != '>') return read_word(1, {});
    if (const std::size_t length = encoded_word_length(rest())) return read_word(length, {});
    return read_special(c);
}

Result<void> ListReader::read_special(char c) {
    switch (c) {
        case '<':
            return open_brackets();
        case '>':
            return close_brackets();
        case ':':
            return name_group();
        case ';':  // the end of a group; in lists typed by people also a comma
        case ',':
            ++at_;
            return end_element();
        default:
            complete_ = complete_ || c == '@';
            return read_word(1, {});
    }
}

/// Takes `length` octets over; none is the error `missing`.
Result<void> ListReader::read_word(std::size_t length, std::string_view missing) {
    if (length == 0) return bad(std::string(missing));
    if (brackets_ == Brackets::closed) return bad("text behind '>' without a comma");
    std::string& words = current();
    const auto word = text_.substr(at_, length);
    if (separated_ && !words.empty() && !is_delimiter(words.back()) && !is_delimiter(word[0])) {
        words += ' ';
    }
    words += word;
    separated_ = false;
    at_ += length;
    return {};
}

Result<void> ListReader::skip_comment() {
    const std::size_t length = comment_length(rest());
    if (length == 0) return bad("no closing parenthesis");
    separated_ = true;
    at_ += length;
    return {};
}

Result<void> ListReader::open_brackets() {
    if (brackets_ != Brackets::none) return bad("a second '<' without a comma");
    brackets_ = Brackets::open;
    ++at_;
    return {};
}

Result<void> ListReader::close_brackets() {
    if (brackets_ != Brackets::open) return bad("'>' without '<'");
    brackets_ = Brackets::closed;
    complete_ = true;
    ++at_;
    return {};
}

Result<void> ListReader::name_group() {
    // `a@b: c@d` is a slip of the finger; taken for a group's name the address would be lost.
    const bool address = brackets_ != Brackets::none || complete_;
    if (address) return bad("':' behind an address");
    ++at_;
    start_element();
    return {};
}

Result<void> ListReader::end_element() {
    if (brackets_ == Brackets::open) return bad("no '>' behind the address");
    const bool bracketed = brackets_ == Brackets::closed;
    if (!bracketed && words_.empty()) return {};

    std::string_view text = bracketed ? path_ : words_;
    if (text.size() > k_max_path) return bad("address longer than 1000 octets");
    if (bracketed && text.starts_with('@')) {  // RFC 5322 4.4: the obsolete route
        const std::size_t colon = text.find(':');
        if (colon == std::string_view::npos) return bad("source route without ':'");
        text.remove_prefix(colon + 1);
    }
    if (text.empty() && place_ == Place::envelope) {
        addresses_.emplace_back();
    } else {
        auto address = parse_address(text);
        if (!address) return fail(std::move(address));
        addresses_.push_back(*std::move(address));
    }
    start_element();
    return {};
}

void ListReader::start_element() {
    brackets_ = Brackets::none;
    words_.clear();
    path_.clear();
    separated_ = false;
    complete_ = false;
}

/// Whether an ESMTP parameter begins here: `NOTIFY=...`, or the one without a value.
bool ListReader::at_parameter() const {
    if (place_ == Place::header || !separated_ || !complete_) return false;
    const auto text = rest();
    const auto end = std::ranges::find_if_not(text, is_keyword_octet);
    if (end == text.begin()) return false;
    const auto keyword = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    if (end != text.end() && *end == '=') return true;
    return equal_ignoring_case(keyword, "SMTPUTF8") && (end == text.end() || is_white(*end));
}

}  // namespace

Result<std::vector<Address>> parse_address_list(std::string_view value) {
    ListReader reader(value, Place::header);
    MAILROOT_TRY(reader.read());
    return reader.take();
}

Result<std::vector<Address>> parse_envelope_addresses(std::string_view value, std::size_t& length) {
    ListReader reader(value, Place::envelope);
    MAILROOT_TRY(reader.read());
    length = reader.length();
    return reader.take();
}

}  // namespace mailroot::message
