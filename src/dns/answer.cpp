#include "dns/answer.hpp"

#include "core/address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <array>
#include <optional>
#include <resolv.h>
#include <string>
#include <vector>

namespace mailroot::dns {

namespace {

/// One record; the octets are the message's.
struct Record {
    std::string owner;
    int type;
    std::chrono::seconds ttl;
    std::span<const unsigned char> data;
};

/// The records of a message, in its order.
struct Message {
    std::span<const unsigned char> octets;
    std::vector<Record> answers;
    std::chrono::seconds negative_ttl{0};  ///< how long it is certain that there are no more
};

/// `mx.example`, from `data` that points into the message; empty for the root.
std::optional<std::string> name_at(std::span<const unsigned char> message,
                                   std::span<const unsigned char> data) {
    std::array<char, NS_MAXDNAME> name{};
    if (::ns_name_uncompress(message.data(), message.data() + message.size(), data.data(),
                             name.data(), name.size()) < 0)
        return std::nullopt;
    const std::string text = name.data();
    return text == "." ? "" : text;
}

std::chrono::seconds ttl_of(std::uint32_t ttl) {
    // RFC 2181 8: a TTL with the top bit set is 0.
    return std::chrono::seconds(ttl > 0x7fffffff ? 0 : ttl);
}

/// Whether the record could be read; `record` is set then.
bool read_record(ns_msg& handle, ns_sect section, int index, Record& record) {
    ns_rr raw{};
    if (::ns_parserr(&handle, section, index, &raw) != 0) return false;
    record = {ns_rr_name(raw),
              ns_rr_type(raw),
              ttl_of(ns_rr_ttl(raw)),
              {ns_rr_rdata(raw), static_cast<std::size_t>(ns_rr_rdlen(raw))}};
    return true;
}

/// RFC 2308 5: the smaller of the SOA's own TTL and of its last field, the minimum.
std::chrono::seconds negative_ttl(const Record& soa) {
    constexpr std::size_t k_minimum_octets = 4;
    if (soa.data.size() < k_minimum_octets) return std::chrono::seconds(0);
    const auto minimum = ::ns_get32(soa.data.last(k_minimum_octets).data());
    return std::min(soa.ttl, ttl_of(static_cast<std::uint32_t>(minimum)));
}

std::optional<Message> read_message(std::span<const unsigned char> octets) {
    ns_msg handle{};
    if (::ns_initparse(octets.data(), static_cast<int>(octets.size()), &handle) != 0)
        return std::nullopt;
    Message message{octets, {}, {}};
    Record record;
    for (int i = 0; i < ns_msg_count(handle, ns_s_an); ++i) {
        if (!read_record(handle, ns_s_an, i, record)) return std::nullopt;
        message.answers.push_back(record);
    }
    for (int i = 0; i < ns_msg_count(handle, ns_s_ns); ++i) {
        if (!read_record(handle, ns_s_ns, i, record)) return std::nullopt;
        if (record.type == ns_t_soa) message.negative_ttl = negative_ttl(record);
    }
    return message;
}

/// What a message says of one name: the records of a type at the end of its aliases.
struct Extract {
    std::vector<std::string> aliases;
    std::vector<Record> records;
    std::chrono::seconds ttl{0};  ///< smallest of those used
};

const Record* find_alias(const Message& message, std::string_view name) {
    const auto found = std::ranges::find_if(message.answers, [name](const Record& record) {
        return record.type == ns_t_cname && equal_ignoring_case(record.owner, name);
    });
    return found == message.answers.end() ? nullptr : &*found;
}

std::optional<Extract> extract(const Message& message, std::string_view asked, int type) {
    Extract found;
    auto ttl = std::chrono::seconds::max();
    std::string name{asked.ends_with('.') ? asked.substr(0, asked.size() - 1) : asked};
    while (const Record* alias = find_alias(message, name)) {
        // More steps than records: they lead in a circle.
        if (found.aliases.size() == message.answers.size()) return std::nullopt;
        auto target = name_at(message.octets, alias->data);
        if (!target) return std::nullopt;
        ttl = std::min(ttl, alias->ttl);
        found.aliases.push_back(*target);
        name = std::move(*target);
    }
    for (const auto& record : message.answers) {
        if (record.type != type || !equal_ignoring_case(record.owner, name)) continue;
        ttl = std::min(ttl, record.ttl);
        found.records.push_back(record);
    }
    found.ttl = found.records.empty() ? std::min(ttl, message.negative_ttl) : ttl;
    return found;
}

std::optional<MxRecord> mx_record(const Message& message, const Record& record) {
    constexpr std::size_t k_preference_octets = 2;
    if (record.data.size() <= k_preference_octets) return std::nullopt;
    auto exchange = name_at(message.octets, record.data.subspan(k_preference_octets));
    if (!exchange) return std::nullopt;
    return MxRecord{static_cast<std::uint16_t>(::ns_get16(record.data.data())),
                    std::move(*exchange)};
}

std::optional<std::string> address(const Record& record, Family family) {
    const bool ipv4 = family == Family::ipv4;
    if (record.data.size() != (ipv4 ? sizeof(in_addr) : sizeof(in6_addr))) return std::nullopt;
    std::array<char, INET6_ADDRSTRLEN> text{};
    return ::inet_ntop(ipv4 ? AF_INET : AF_INET6, record.data.data(), text.data(), text.size());
}

template <class Answer>
Answer broken(std::string_view name) {
    Answer answer;
    answer.error = "the answer about " + std::string(name) + " is broken";
    return answer;
}

}  // namespace

MxAnswer parse_mx(std::span<const unsigned char> octets, std::string_view name) {
    const auto message = read_message(octets);
    const auto found = message ? extract(*message, name, ns_t_mx) : std::nullopt;
    if (!found) return broken<MxAnswer>(name);
    MxAnswer answer{Status::no_data, {}, found->aliases, found->ttl, {}};
    for (const auto& record : found->records) {
        auto mx = mx_record(*message, record);
        if (!mx) return broken<MxAnswer>(name);
        answer.records.push_back(std::move(*mx));
        answer.status = Status::found;
    }
    if (answer.status == Status::no_data) answer.error = std::string(name) + " has no MX";
    return answer;
}

AddressAnswer parse_addresses(std::span<const unsigned char> octets, std::string_view name,
                              Family family) {
    const auto message = read_message(octets);
    const int type = family == Family::ipv4 ? ns_t_a : ns_t_aaaa;
    const auto found = message ? extract(*message, name, type) : std::nullopt;
    if (!found) return broken<AddressAnswer>(name);
    AddressAnswer answer{Status::no_data, {}, found->ttl, {}};
    for (const auto& record : found->records) {
        auto text = address(record, family);
        if (!text) return broken<AddressAnswer>(name);
        answer.addresses.push_back(std::move(*text));
        answer.status = Status::found;
    }
    if (answer.status == Status::no_data) answer.error = std::string(name) + " has no address";
    return answer;
}

NameAnswer parse_names(std::span<const unsigned char> octets, std::string_view name) {
    const auto message = read_message(octets);
    const auto found = message ? extract(*message, name, ns_t_ptr) : std::nullopt;
    if (!found) return broken<NameAnswer>(name);
    NameAnswer answer{Status::no_data, {}, found->ttl, {}};
    for (const auto& record : found->records) {
        auto text = name_at(message->octets, record.data);
        if (!text) return broken<NameAnswer>(name);
        answer.names.push_back(std::move(*text));
        answer.status = Status::found;
    }
    if (answer.status == Status::no_data) answer.error = std::string(name) + " has no name";
    return answer;
}

}  // namespace mailroot::dns
