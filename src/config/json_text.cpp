#include "config/json_text.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace mailroot::config {

namespace {

using Json = nlohmann::ordered_json;

/// `line 3, column 7`, columns in octets.
std::string place(std::string_view text, std::size_t offset) {
    const auto before = text.substr(0, offset);
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto column = offset - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

std::string unexpected(std::string_view text, std::size_t offset) {
    if (offset >= text.size()) return "the text ends too early";
    const char found = text[offset];
    if (found == '\n' || found == '\r') return "unexpected end of the line";
    if (static_cast<unsigned char>(found) < 0x20) return "unexpected control character";
    if (static_cast<unsigned char>(found) >= 0x7f) return "unexpected character beyond ASCII";
    return std::string("unexpected '") + found + "'";
}

/// Reads through a text for what parsing alone does not tell: where it went wrong, and keys that
/// stand twice.
class Checker final : public nlohmann::json_sax<Json> {
 public:
    explicit Checker(std::string_view text) : text_(text) {}

    [[nodiscard]] const std::string& problem() const { return problem_; }

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_array(std::size_t) override { return true; }
    bool end_array() override { return true; }

    bool start_object(std::size_t) override {
        open_.emplace_back();
        return true;
    }
    bool end_object() override {
        open_.pop_back();
        return true;
    }
    bool key(string_t& name) override {
        if (open_.back().insert(name).second) return true;
        problem_ = "the key '" + name + "' stands twice in one object";
        return false;
    }

    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception&) override {
        // The library counts the octets it took, the one it did not like included.
        const std::size_t offset = position == 0 ? 0 : position - 1;
        problem_ = place(text_, offset) + ": " + unexpected(text_, offset);
        return false;
    }

 private:
    const std::string_view text_;
    std::vector<std::set<std::string>> open_;
    std::string problem_;
};

}  // namespace

Result<Json> parse_json(std::string_view text) {
    Checker checker(text);
    constexpr bool k_strict = true, k_comments = true, k_throw = false;
    if (!Json::sax_parse(text, &checker, Json::input_format_t::json, k_strict, k_comments))
        return fail(Error::Kind::config, checker.problem());
    return Json::parse(text, nullptr, k_throw, k_comments);
}

}  // namespace mailroot::config
