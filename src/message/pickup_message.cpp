#include "message/pickup_message.hpp"

#include "message/address_list.hpp"
#include "message/pickup_text.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace mailroot::message {

namespace {

/// Field names by falling precedence or in the order in which they name recipients.
constexpr std::array k_senders{"Resent-Sender", "Resent-From", "Sender", "From"};
constexpr std::array k_resent_recipients{"Resent-To", "Resent-Cc", "Resent-Bcc"};
constexpr std::array k_recipients{"To", "Cc", "Bcc"};

std::string at_line(int line, std::string_view what) {
    return "line " + std::to_string(line) + ": " + std::string(what);
}

/// The mailboxes of a field; the error names its line in the file.
Result<std::vector<Address>> mailboxes(const PickupHead& head, const Field& field) {
    auto list = parse_address_list(field.value);
    if (!list) return fail(std::move(list), at_line(head.block_lines + field.line, field.name));
    std::erase_if(*list, [](const Address& address) { return address.is_null(); });
    return list;
}

Result<Address> header_sender(const PickupHead& head) {
    for (const auto* name : k_senders) {
        const auto field = find_field(head.header, name);
        if (!field) continue;
        auto list = mailboxes(head, *field);
        if (!list) return fail(std::move(list));
        // RFC 5322 3.6.2 wants a Sender beside a From of several mailboxes; without it, the first.
        if (!list->empty()) return std::move(list->front());
    }
    return fail(Error::Kind::parse,
                at_line(head.lines, "no sender: neither x-sender nor Sender nor From"));
}

Result<std::vector<Recipient>> header_recipients(const PickupHead& head) {
    const bool resent = std::ranges::any_of(
        k_resent_recipients, [&](auto name) { return find_field(head.header, name).has_value(); });
    std::vector<Recipient> recipients;
    for (const auto* name : resent ? k_resent_recipients : k_recipients) {
        for (const auto& field : head.header.fields) {
            if (!equal_ignoring_case(field.name, name)) continue;
            auto list = mailboxes(head, field);
            if (!list) return fail(std::move(list));
            for (auto& address : *list)
                recipients.push_back({.address = std::move(address), .notify = "", .orcpt = ""});
        }
    }
    if (!recipients.empty()) return recipients;
    return fail(Error::Kind::parse,
                at_line(head.lines, "no recipient: neither x-receiver nor To nor Cc nor Bcc"));
}

void complete(Address& address, const std::string& domain) {
    if (address.domain.empty() && !address.is_null()) address.domain = domain;
}

/// Leaves the first of each mailbox. Ordered by a key, a file may hold thousands of them.
void remove_repeats(std::vector<Recipient>& recipients) {
    const auto key = [](const Recipient& recipient) {
        return recipient.address.local_part + '@' + lower_case(recipient.address.domain);
    };
    std::vector<std::pair<std::string, std::size_t>> keys;
    for (std::size_t i = 0; i < recipients.size(); ++i) keys.emplace_back(key(recipients[i]), i);
    std::ranges::sort(keys);
    std::vector<bool> repeated(recipients.size());
    for (std::size_t i = 1; i < keys.size(); ++i)
        repeated[keys[i].second] = keys[i].first == keys[i - 1].first;
    std::size_t at = 0;
    std::erase_if(recipients, [&](const Recipient&) { return repeated[at++]; });
}

/// The block's envelope, with what it lacks taken from the header.
Result<Envelope> envelope_of(const PickupHead& head, const std::string& default_domain) {
    Envelope envelope = head.block.envelope;
    if (!head.block.has_sender) {
        auto sender = header_sender(head);
        if (!sender) return fail(std::move(sender));
        envelope.reverse_path = *std::move(sender);
    }
    if (envelope.recipients.empty()) {
        auto recipients = header_recipients(head);
        if (!recipients) return fail(std::move(recipients));
        envelope.recipients = *std::move(recipients);
    }
    complete(envelope.reverse_path, default_domain);
    for (auto& recipient : envelope.recipients) complete(recipient.address, default_domain);
    remove_repeats(envelope.recipients);
    // Line ends are made CRLF here, and that is what BINARYMIME must not have: an application that
    // claims it has written lines of text all the same.
    if (envelope.body == Body::binary_mime) envelope.body = Body::eight_bit_mime;
    return envelope;
}

/// Whether any octet is above 127; without a branch, so that it runs at the memory's speed.
bool has_eighth_bit(std::string_view octets) {
    unsigned char bits = 0;
    for (const char c : octets) bits |= static_cast<unsigned char>(c);
    return bits >= 0x80;
}

constexpr std::string_view k_lone_dot_line = ".\r\n";

}  // namespace

/// Counts what PickupCanonicalizer will give, for both answers to the question of the dots.
struct PickupScanner::State final : PickupOutput {
    struct Tally {
        std::uint64_t size = 0;
        int line_over_limit = 0;  ///< of the file, where the message grew too large
    };

    explicit State(PickupRules given)
        : rules(std::move(given)), reader(rules.keep_bcc, *this), raw(rules.dots == Dots::raw) {
        message.keep_bcc = rules.keep_bcc;
    }

    Result<void> head(const PickupHead& head) override;
    void body(int first_line) override;
    void text(std::string_view octets) override;
    void leading_dot(bool doubled) override;
    void lone_dot(bool last) override;

    void add(Tally& tally, std::string_view octets) const;
    [[nodiscard]] bool unstuffs() const;
    [[nodiscard]] Result<void> within_limit(bool unstuff) const;

    PickupRules rules;
    PickupMessage message;
    PickupText reader;
    bool raw;                 ///< no dot is taken off, whatever comes
    bool dotted = false;      ///< a line began with a dot
    bool all_stuffed = true;  ///< every such line as a stuffing writer leaves it
    Tally as_it_is, unstuffed;
    int line = 1;  ///< of the file
    bool in_body = false;
};

Result<void> PickupScanner::State::head(const PickupHead& head) {
    auto envelope = envelope_of(head, rules.default_domain);
    if (!envelope) return fail(std::move(envelope));
    message.envelope = *std::move(envelope);
    message.has_date = find_field(head.header, "Date").has_value();
    message.has_message_id = find_field(head.header, "Message-ID").has_value();
    const auto& fields = head.header.fields;
    const auto is_received = [](const Field& field) {
        return equal_ignoring_case(field.name, "Received");
    };
    message.received_fields = static_cast<int>(std::ranges::count_if(fields, is_received));
    // In what we write our Received follows the block at once: a file from Drop, Queue or Badmail.
    if (rules.dots == Dots::automatic && head.block.length > 0 && !fields.empty())
        raw = is_received(fields.front());
    line = head.lines;
    return {};
}

void PickupScanner::State::body(int first_line) {
    line = first_line;
    in_body = true;
}

void PickupScanner::State::add(Tally& tally, std::string_view octets) const {
    const std::uint64_t left = rules.max_size - std::min(rules.max_size, tally.size);
    tally.size += octets.size();
    if (rules.max_size == 0 || tally.size <= rules.max_size || tally.line_over_limit != 0) return;
    const auto lines = in_body ? std::ranges::count(octets.substr(0, left), '\n') : 0;
    tally.line_over_limit = line + static_cast<int>(lines);
}

void PickupScanner::State::text(std::string_view octets) {
    add(as_it_is, octets);
    add(unstuffed, octets);
    if (in_body) line += static_cast<int>(std::ranges::count(octets, '\n'));
    if (message.envelope.body == Body::seven_bit && has_eighth_bit(octets))
        message.envelope.body = Body::eight_bit_mime;
}

void PickupScanner::State::leading_dot(bool doubled) {
    dotted = true;
    all_stuffed = all_stuffed && doubled;
    add(as_it_is, ".");
}

void PickupScanner::State::lone_dot(bool last) {
    dotted = true;
    all_stuffed = all_stuffed && last;
    add(as_it_is, k_lone_dot_line);
    if (!last) add(unstuffed, k_lone_dot_line);
    ++line;
}

bool PickupScanner::State::unstuffs() const {
    if (rules.dots == Dots::unstuff) return true;
    return !raw && dotted && all_stuffed;
}

Result<void> PickupScanner::State::within_limit(bool unstuff) const {
    const int over = (unstuff ? unstuffed : as_it_is).line_over_limit;
    if (over == 0) return {};
    return fail(Error::Kind::parse,
                at_line(over, "message larger than " + std::to_string(rules.max_size) + " octets"));
}

PickupScanner::PickupScanner(PickupRules rules)
    : state_(std::make_unique<State>(std::move(rules))) {}
PickupScanner::~PickupScanner() = default;

Result<void> PickupScanner::feed(std::string_view octets) {
    MAILROOT_TRY(state_->reader.feed(octets));
    // What is too large even without its dots is so whatever is decided in the end.
    return state_->within_limit(!state_->raw);
}

Result<PickupMessage> PickupScanner::finish() {
    MAILROOT_TRY(state_->reader.finish());
    auto& message = state_->message;
    message.unstuff = state_->unstuffs();
    message.size = (message.unstuff ? state_->unstuffed : state_->as_it_is).size;
    MAILROOT_TRY(state_->within_limit(message.unstuff));
    return std::move(message);
}

/// Writes what the scanner counted.
struct PickupCanonicalizer::State final : PickupOutput {
    explicit State(const PickupMessage& message)
        : unstuff(message.unstuff), reader(message.keep_bcc, *this) {}

    Result<void> head(const PickupHead&) override { return {}; }
    void body(int) override {}
    void text(std::string_view octets) override { out->append(octets); }
    void leading_dot(bool) override {
        if (!unstuff) *out += '.';
    }
    // IIS ended the message at the first lone dot. We lose nothing: only one that nothing follows
    // is an end mark; one amid the text stays, since a writer that stuffs would have doubled it.
    void lone_dot(bool last) override {
        if (!unstuff || !last) out->append(k_lone_dot_line);
    }

    bool unstuff;
    PickupText reader;
    std::string* out = nullptr;  ///< during a call
};

PickupCanonicalizer::PickupCanonicalizer(const PickupMessage& message)
    : state_(std::make_unique<State>(message)) {}
PickupCanonicalizer::~PickupCanonicalizer() = default;

// The scanner has refused what the reader can refuse; of a file that was changed since, the caller
// sees its time or that the octets are not as many as announced.
void PickupCanonicalizer::feed(std::string_view octets, std::string& out) {
    state_->out = &out;
    static_cast<void>(state_->reader.feed(octets));
}

void PickupCanonicalizer::finish(std::string& out) {
    state_->out = &out;
    static_cast<void>(state_->reader.finish());
}

}  // namespace mailroot::message
