#include "config/bindings.hpp"

#include "config/forms.hpp"
#include "core/quantity.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace mailroot::config {

namespace {

// Far beyond what makes sense, and so small that sums and products of them cannot overflow.
constexpr std::uint64_t k_most_of_anything = 1'000'000'000;
constexpr milliseconds k_longest = std::chrono::hours(24) * 3'650;
constexpr std::uint64_t k_largest = 1ull << 50;

bool is_domain_or_empty(std::string_view text) {
    return text.empty() || is_domain(text);
}

bool is_dots(std::string_view text) {
    return text == "auto" || text == "unstuff" || text == "raw";
}

constexpr std::string_view k_domain_form = "a domain such as \"mx.example.com\"";

#define MEMBER(name)            \
    [](Settings & s) -> auto& { \
        return s.name;          \
    }

constexpr std::array k_bindings{
    Binding{"hostname", "our name in greetings, Received and Message-ID; empty: the machine's",
            Text{MEMBER(hostname), is_domain_or_empty, k_domain_form}},
    Binding{"listen", "where SMTP is served: ADDRESS:PORT each",
            TextList{MEMBER(listen), is_listen_address,
                     "a list of ADDRESS:PORT such as [\"0.0.0.0:25\", \"[::]:25\"]"}},

    Binding{"domains.default", "the local domain, of mail without one too; empty: the hostname",
            Text{MEMBER(domains.default_domain), is_domain_or_empty, k_domain_form}},
    Binding{"domains.aliases", "further local domains, example.com or *.example.com",
            TextList{MEMBER(domains.aliases), is_domain_pattern,
                     "a list of domains such as [\"example.com\", \"*.example.net\"]"}},

    Binding{"limits.messageSize", "largest message taken; 0: no limit",
            Size{MEMBER(limits.message_size)}},
    Binding{"limits.recipients", "most recipients of a message taken over SMTP",
            Count{MEMBER(limits.recipients), 1}},
    Binding{"limits.messagesPerConnection", "most messages taken in one session; 0: no limit",
            Count{MEMBER(limits.messages_per_connection), 0}},
    Binding{"limits.connections", "most sessions served at once",
            Count{MEMBER(limits.connections), 1}},
    Binding{"limits.idle", "how long a session may say nothing", Duration{MEMBER(limits.idle), 1s}},

    Binding{"delivery.retry", "waits between the attempts; the last one repeats",
            DurationList{MEMBER(delivery.retry)}},
    Binding{"delivery.expire", "age at which mail is returned, judged after a failed attempt",
            Duration{MEMBER(delivery.expire), 1s}},
    Binding{"delivery.hops", "most Received fields a message may have",
            Count{MEMBER(delivery.hops), 1}},
    Binding{"delivery.connections", "most connections out at once",
            Count{MEMBER(delivery.connections), 1}},
    Binding{"delivery.connectionsPerDomain", "most connections out to one destination at once",
            Count{MEMBER(delivery.connections_per_domain), 1}},
    Binding{"delivery.messagesPerConnection", "messages sent before a connection is made anew",
            Count{MEMBER(delivery.messages_per_connection), 1}},
    Binding{"delivery.port", "port of the MX hosts", Port{MEMBER(delivery.port)}},

    Binding{"dns.servers", "name servers, IP or IP:PORT; empty: the system's resolvers",
            TextList{MEMBER(dns.servers), is_server_address,
                     "a list of IP or IP:PORT such as [\"192.0.2.53\", \"127.0.0.1:5353\"]"}},
    Binding{"dns.timeout", "wait for the first answer of a name server",
            Duration{MEMBER(dns.timeout), 1ms}},

    Binding{"pickup.dots", "dot-stuffing in Pickup files: auto, unstuff or raw",
            Text{MEMBER(pickup.dots), is_dots, "\"auto\", \"unstuff\" or \"raw\""}},
    Binding{"pickup.keepBcc", "leave Bcc fields in, as IIS did", Boolean{MEMBER(pickup.keep_bcc)}},
    Binding{"pickup.rescan", "time between looks at the whole folder",
            Duration{MEMBER(pickup.rescan), 1ms}},
    Binding{"pickup.settle", "a file unchanged that long is taken to be whole",
            Duration{MEMBER(pickup.settle), 0ms}},
};

#undef MEMBER

std::optional<milliseconds> duration_of(const Json& value, milliseconds least) {
    if (!value.is_string()) return std::nullopt;
    const auto duration = parse_duration(value.get_ref<const std::string&>());
    if (!duration || *duration < least || *duration > k_longest) return std::nullopt;
    return *duration;
}

std::optional<std::uint64_t> size_of(const Json& value) {
    if (value.is_number_unsigned()) return value.get<std::uint64_t>();
    if (!value.is_string()) return std::nullopt;
    const auto size = parse_size(value.get_ref<const std::string&>());
    return size ? std::optional(*size) : std::nullopt;
}

}  // namespace

std::span<const Binding> bindings() {
    return k_bindings;
}

bool Text::read(Settings& settings, const Json& value) const {
    if (!value.is_string() || !fits(value.get_ref<const std::string&>())) return false;
    member(settings) = value.get<std::string>();
    return true;
}

bool TextList::read(Settings& settings, const Json& value) const {
    const bool legal = value.is_array() && std::ranges::all_of(value, [this](const Json& item) {
                           return item.is_string() && fits(item.get_ref<const std::string&>());
                       });
    if (legal) member(settings) = value.get<std::vector<std::string>>();
    return legal;
}

bool Size::read(Settings& settings, const Json& value) const {
    const auto size = size_of(value);
    if (!size || *size > k_largest) return false;
    member(settings) = *size;
    return true;
}

Json Size::write(Settings& settings) const {
    return size_text(member(settings));
}

std::string Size::expected() const {
    return "a size such as \"32M\" or a number of octets, at most " + size_text(k_largest);
}

bool Count::read(Settings& settings, const Json& value) const {
    if (!value.is_number_unsigned()) return false;
    const auto count = value.get<std::uint64_t>();
    if (count < least || count > k_most_of_anything) return false;
    member(settings) = count;
    return true;
}

std::string Count::expected() const {
    return "a whole number from " + std::to_string(least) + " to " +
           std::to_string(k_most_of_anything);
}

bool Port::read(Settings& settings, const Json& value) const {
    if (!value.is_number_unsigned()) return false;
    const auto port = value.get<std::uint64_t>();
    if (port < 1 || port > 65'535) return false;
    member(settings) = static_cast<std::uint16_t>(port);
    return true;
}

bool Duration::read(Settings& settings, const Json& value) const {
    const auto duration = duration_of(value, least);
    if (duration) member(settings) = *duration;
    return duration.has_value();
}

Json Duration::write(Settings& settings) const {
    return duration_text(member(settings));
}

std::string Duration::expected() const {
    return "a duration such as \"90s\" or \"15m\", from " + duration_text(least) + " to " +
           duration_text(k_longest);
}

bool DurationList::read(Settings& settings, const Json& value) const {
    if (!value.is_array() || value.empty()) return false;
    std::vector<milliseconds> durations;
    for (const auto& item : value) {
        const auto duration = duration_of(item, 1ms);
        if (!duration) return false;
        durations.push_back(*duration);
    }
    member(settings) = std::move(durations);
    return true;
}

Json DurationList::write(Settings& settings) const {
    auto list = Json::array();
    for (const auto duration : member(settings)) list.push_back(duration_text(duration));
    return list;
}

std::string DurationList::expected() const {
    return "a list of at least one duration such as [\"15m\", \"1h\"], each more than 0s and at "
           "most " +
           duration_text(k_longest);
}

bool Boolean::read(Settings& settings, const Json& value) const {
    if (value.is_boolean()) member(settings) = value.get<bool>();
    return value.is_boolean();
}

}  // namespace mailroot::config
