#include "message/envelope_block.hpp"

#include "message/address_list.hpp"
#include "message/header.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

namespace mailroot::message {

namespace {

constexpr std::string_view k_bom = "\xef\xbb\xbf";
constexpr std::string_view k_sender = "x-sender";
constexpr std::string_view k_receiver = "x-receiver";
constexpr std::string_view k_received = "x-received";

bool is_control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

/// What a line says: its addresses, and the ESMTP parameters behind them.
struct Line {
    std::vector<Address> addresses;
    std::string parameters;
};

Result<Line> parse_line(std::string_view value) {
    const std::string text = unfolded(value);
    if (std::ranges::any_of(text, is_control)) {
        return fail(Error::Kind::parse, "a control character");
    }
    std::size_t length = 0;
    auto addresses = parse_envelope_addresses(text, length);
    if (!addresses) return fail(std::move(addresses));
    if (addresses->empty()) return fail(Error::Kind::parse, "no address");
    return Line{*std::move(addresses), text.substr(length)};
}

/// The value of the parameter `keyword` in text such as `RET=HDRS SMTPUTF8`, which may be empty;
/// nothing where it is not there.
std::optional<std::string> parameter(std::string_view text, std::string_view keyword) {
    while (!text.empty()) {
        auto word = text.substr(0, text.find_first_of(" \t"));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
        // Exchange ends a parameter before another one with ';'.
        if (word.ends_with(';') && !text.empty()) word.remove_suffix(1);
        const auto name = word.substr(0, word.find('='));
        word.remove_prefix(std::min(word.size(), name.size() + 1));
        if (equal_ignoring_case(name, keyword)) return std::string(word);
    }
    return std::nullopt;
}

std::string value_of(std::string_view parameters, std::string_view keyword) {
    return parameter(parameters, keyword).value_or("");
}

Body body_of(std::string_view name) {
    if (equal_ignoring_case(name, "8BITMIME")) return Body::eight_bit_mime;
    if (equal_ignoring_case(name, "BINARYMIME")) return Body::binary_mime;
    return Body::seven_bit;
}

/// Gathers the lines of one block.
class BlockReader {
 public:
    Result<void> add_sender(std::string_view value);
    Result<void> add_recipients(std::string_view value, bool settled, std::size_t mark);

    EnvelopeBlock take(std::size_t length);

 private:
    void add(Recipient recipient);

    EnvelopeBlock block_;
    std::unordered_map<std::string, std::size_t> known_;  ///< mailbox to its place in recipients
};

Result<void> BlockReader::add_sender(std::string_view value) {
    if (block_.has_sender) return {};  // the first counts, as in IIS
    auto line = parse_line(value);
    if (!line) return fail(std::move(line));
    if (line->addresses.size() > 1) return fail(Error::Kind::parse, "more than one address");
    Envelope& envelope = block_.envelope;
    envelope.reverse_path = std::move(line->addresses.front());
    envelope.body = body_of(value_of(line->parameters, "BODY"));
    envelope.ret = value_of(line->parameters, "RET");
    envelope.envid = value_of(line->parameters, "ENVID");
    envelope.utf8 = parameter(line->parameters, "SMTPUTF8").has_value();
    block_.has_sender = true;
    return {};
}

Result<void> BlockReader::add_recipients(std::string_view value, bool settled, std::size_t mark) {
    auto line = parse_line(value);
    if (!line) return fail(std::move(line));
    const std::string notify = value_of(line->parameters, "NOTIFY");
    const std::string orcpt = value_of(line->parameters, "ORCPT");
    for (Address& address : line->addresses) {
        if (address.is_null()) return fail(Error::Kind::parse, "'<>' is no recipient");
        add({std::move(address), notify, orcpt, settled});
        block_.marks.push_back(mark);
    }
    return {};
}

void BlockReader::add(Recipient recipient) {
    auto& recipients = block_.envelope.recipients;
    // '@' cannot stand in a domain, so the key tells the parts apart.
    auto key = lower_case(recipient.address.domain) + '@' + recipient.address.local_part;
    const auto [known, is_new] = known_.emplace(std::move(key), recipients.size());
    if (is_new) {
        recipients.push_back(std::move(recipient));
    } else if (!recipient.settled) {
        recipients[known->second].settled = false;  // a line that is open asks for delivery
    }
}

EnvelopeBlock BlockReader::take(std::size_t length) {
    block_.length = length;
    auto& marks = block_.marks;
    const bool shared = std::ranges::adjacent_find(marks) != marks.end();
    if (shared || marks.size() != block_.envelope.recipients.size()) marks.clear();
    return std::move(block_);
}

bool is_envelope_name(std::string_view name) {
    constexpr std::array names{k_sender, k_receiver, k_received};
    return std::ranges::any_of(names,
                               [name](auto each) { return equal_ignoring_case(each, name); });
}

void add_parameter(std::string& line, std::string_view keyword, std::string_view value) {
    if (!value.empty()) line.append(" ").append(keyword).append("=").append(value);
}

std::string sender_line(const Envelope& envelope) {
    std::string line = "x-sender: <" + envelope.reverse_path.text() + '>';
    if (envelope.body == Body::eight_bit_mime) add_parameter(line, "BODY", "8BITMIME");
    if (envelope.body == Body::binary_mime) add_parameter(line, "BODY", "BINARYMIME");
    if (envelope.utf8) line += " SMTPUTF8";
    add_parameter(line, "RET", envelope.ret);
    add_parameter(line, "ENVID", envelope.envid);
    return line + "\r\n";
}

std::string recipient_line(const Recipient& recipient) {
    std::string line(recipient.settled ? k_received : k_receiver);
    line += ": <" + recipient.address.text() + '>';
    add_parameter(line, "NOTIFY", recipient.notify);
    add_parameter(line, "ORCPT", recipient.orcpt);
    return line + "\r\n";
}

}  // namespace

Result<EnvelopeBlock> parse_envelope_block(std::string_view text) {
    BlockReader reader;
    int line = 1;
    std::size_t at = text.starts_with(k_bom) ? k_bom.size() : 0;
    for (auto field = parse_field(text.substr(at)); field && is_envelope_name(field->name);
         field = parse_field(text.substr(at))) {
        const bool sender = equal_ignoring_case(field->name, k_sender);
        const bool settled = equal_ignoring_case(field->name, k_received);
        const std::size_t mark = at + field->name.size() - 1;
        auto read = sender ? reader.add_sender(field->value)
                           : reader.add_recipients(field->value, settled, mark);
        if (!read) {
            return fail(std::move(read),
                        "line " + std::to_string(line) + ": " + lower_case(field->name));
        }
        line += static_cast<int>(std::ranges::count(field->whole, '\n'));
        at += field->whole.size();
    }
    return reader.take(at);
}

std::string envelope_block(const Envelope& envelope) {
    std::string block = sender_line(envelope);
    for (const Recipient& recipient : envelope.recipients) block += recipient_line(recipient);
    return block;
}

std::string drop_block(const Envelope& envelope) {
    const Address& sender = envelope.reverse_path;
    // IIS's form has no brackets; nothing at all would not read back as the null reverse path.
    std::string block = "x-sender: " + (sender.is_null() ? "<>" : sender.text()) + "\r\n";
    for (const Recipient& recipient : envelope.recipients) {
        if (!recipient.settled) block += "x-receiver: " + recipient.address.text() + "\r\n";
    }
    return block;
}

}  // namespace mailroot::message
