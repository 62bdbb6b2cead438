#include "config/bindings.hpp"

#include "config/forms.hpp"
#include "core/address.hpp"
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

bool is_any(std::string_view) {
    return true;
}

bool is_bare_newline(std::string_view text) {
    return text == "normalize" || text == "reject";
}

bool is_dots(std::string_view text) {
    return text == "auto" || text == "unstuff" || text == "raw";
}

bool is_ascii_address_or_empty(std::string_view text) {
    const bool ascii = std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; });
    return text.empty() || (ascii && parse_address(text));
}

bool is_proxy_or_empty(std::string_view text) {
    return text.empty() || is_proxy(text);
}

constexpr std::string_view k_networks_form =
    "a list of networks such as [\"192.0.2.0/24\", \"2001:db8::/32\"]";
constexpr std::string_view k_file_form = "the path of a file";
constexpr std::string_view k_domain_form = "a domain such as \"mx.example.com\"";

#define MEMBER(name)            \
    [](Settings & s) -> auto& { \
        return s.name;          \
    }

constexpr std::array k_bindings{
    Binding{"hostname", "our name in greetings, Received and Message-ID; empty: the machine's",
            Text{MEMBER(hostname), is_domain_or_empty, k_domain_form}},
    Binding{"listen", "where SMTP is served: ADDRESS:PORT each, and how TLS is used",
            TextList{MEMBER(listen), is_listen_address,
                     "a list of ADDRESS:PORT such as [\"0.0.0.0:25\", \"[::]:465 implicit\"], each "
                     "perhaps with starttls, required, implicit or none"}},

    Binding{"domains.default", "the local domain, of mail without one too; empty: the hostname",
            Text{MEMBER(domains.default_domain), is_domain_or_empty, k_domain_form}},
    Binding{"domains.aliases", "further local domains, example.com or *.example.com",
            TextList{MEMBER(domains.aliases), is_domain_pattern,
                     "a list of domains such as [\"example.com\", \"*.example.net\"]"}},
    Binding{"domains.recipients", "local domain to the file that lists who is there; others: all",
            TextMap{MEMBER(domains.recipients),
                    "an object such as {\"example.com\": \"/etc/mailroot/example.com\"}"}},
    Binding{"domains.remote", "what is special about mail for domains elsewhere",
            RemoteDomains{MEMBER(domains.remote)}},

    Binding{"relay.networks", "networks that may send to other hosts through us",
            TextList{MEMBER(relay.networks), is_network, k_networks_form}},
    Binding{"relay.authenticated", "who authenticates may, too",
            Boolean{MEMBER(relay.authenticated)}},

    Binding{"access.allow", "networks that may connect; empty: all",
            TextList{MEMBER(access.allow), is_network, k_networks_form}},
    Binding{"access.deny", "networks that may not connect, whatever allow says",
            TextList{MEMBER(access.deny), is_network, k_networks_form}},
    Binding{"access.proxies", "networks that speak the PROXY protocol to us",
            TextList{MEMBER(access.proxies), is_network, k_networks_form}},
    Binding{"access.blocklists", "DNS blocklists whose entries are refused",
            TextList{MEMBER(access.blocklists), is_domain,
                     "a list of domains such as [\"zen.example.org\"]"}},
    Binding{"access.reverseLookup", "name the client's host in Received",
            Boolean{MEMBER(access.reverse_lookup)}},

    Binding{"tls.certificate", "PEM file of our certificate and its chain; empty: no TLS",
            Text{MEMBER(tls.certificate), is_any, k_file_form}},
    Binding{"tls.key", "PEM file of its key; empty: the certificate's",
            Text{MEMBER(tls.key), is_any, k_file_form}},
    Binding{"tls.authorities",
            "PEM file of who signs other hosts' certificates; empty: the system's",
            Text{MEMBER(tls.authorities), is_any, k_file_form}},

    Binding{"auth.users", "file of name:hash, who may authenticate; empty: nobody",
            Text{MEMBER(auth.users), is_any, k_file_form}},
    Binding{"auth.requireTls", "offer AUTH under TLS alone", Boolean{MEMBER(auth.require_tls)}},
    Binding{"auth.failures", "failed attempts before a session is ended; 0: no limit",
            Count{MEMBER(auth.failures), 0}},
    Binding{"auth.failureDelay", "wait before a failed attempt is answered",
            Duration{MEMBER(auth.failure_delay), 0ms}},

    Binding{"limits.messageSize", "largest message taken; 0: no limit",
            Size{MEMBER(limits.message_size)}},
    Binding{"limits.sessionSize", "octets of all messages of one session; 0: no limit",
            Size{MEMBER(limits.session_size)}},
    Binding{"limits.recipients", "most recipients of a message taken over SMTP",
            Count{MEMBER(limits.recipients), 1}},
    Binding{"limits.messagesPerConnection", "most messages taken in one session; 0: no limit",
            Count{MEMBER(limits.messages_per_connection), 0}},
    Binding{"limits.connections", "most sessions served at once",
            Count{MEMBER(limits.connections), 1}},
    Binding{"limits.connectionsPerIp", "most sessions of one address at once; 0: no limit",
            Count{MEMBER(limits.connections_per_ip), 0}},
    Binding{"limits.connectionsPerMinute", "most new sessions of one address; 0: no limit",
            Count{MEMBER(limits.connections_per_minute), 0}},
    Binding{"limits.recipientsPerMinute", "most recipients that one address names; 0: no limit",
            Count{MEMBER(limits.recipients_per_minute), 0}},
    Binding{"limits.errors", "refused commands before a session is ended; 0: no limit",
            Count{MEMBER(limits.errors), 0}},
    Binding{"limits.unknownCommands", "unknown commands before it is; 0: no limit",
            Count{MEMBER(limits.unknown_commands), 0}},
    Binding{"limits.idleCommands", "commands without a message before it is; 0: no limit",
            Count{MEMBER(limits.idle_commands), 0}},
    Binding{"limits.idle", "how long a session may say nothing", Duration{MEMBER(limits.idle), 1s}},
    Binding{"limits.minRate", "octets a second of a message, once idle is over; 0: no limit",
            Size{MEMBER(limits.min_rate)}},
    Binding{"limits.minFree", "room left on the disk below which nothing is taken; 0: no limit",
            Size{MEMBER(limits.min_free)}},
    Binding{"limits.bareNewline", "bare CR and LF in a message: normalize or reject",
            Text{MEMBER(limits.bare_newline), is_bare_newline, "\"normalize\" or \"reject\""}},

    Binding{"drop.quota", "octets in Drop from which on nothing is taken; 0: no limit",
            Size{MEMBER(drop.quota)}},

    Binding{"badmail.keep", "age at which a message in Badmail is removed; 0s: never",
            Duration{MEMBER(badmail.keep), 0ms}},
    Binding{"badmail.maxSize", "octets in Badmail, beyond which the oldest go; 0: no limit",
            Size{MEMBER(badmail.max_size)}},
    Binding{"badmail.maxCount", "messages in Badmail, beyond which the oldest go; 0: no limit",
            Count{MEMBER(badmail.max_count), 0}},

    Binding{"delivery.retry", "waits between the attempts; the last one repeats",
            DurationList{MEMBER(delivery.retry)}},
    Binding{"delivery.delayNotice",
            "age at which a sender is told that mail waits, after a failed attempt; 0s: never",
            Duration{MEMBER(delivery.delay_notice), 0ms}},
    Binding{"delivery.expire", "age at which mail is returned, judged after a failed attempt",
            Duration{MEMBER(delivery.expire), 1s}},
    Binding{"delivery.localRetry", "delivery.retry for recipients in local domains",
            DurationList{MEMBER(delivery.local_retry)}},
    Binding{"delivery.localDelayNotice", "delivery.delayNotice for recipients in local domains",
            Duration{MEMBER(delivery.local_delay_notice), 0ms}},
    Binding{"delivery.localExpire", "delivery.expire for recipients in local domains",
            Duration{MEMBER(delivery.local_expire), 1s}},
    Binding{"delivery.hops", "most Received fields a message may have",
            Count{MEMBER(delivery.hops), 1}},
    Binding{"delivery.connections", "most connections out at once",
            Count{MEMBER(delivery.connections), 1}},
    Binding{"delivery.connectionsPerDomain", "most connections out to one destination at once",
            Count{MEMBER(delivery.connections_per_domain), 1}},
    Binding{"delivery.messagesPerConnection", "messages sent before a connection is made anew",
            Count{MEMBER(delivery.messages_per_connection), 1}},
    Binding{"delivery.recipientsPerMessage",
            "recipients of one transaction; more go in a further one",
            Count{MEMBER(delivery.recipients_per_message), 1}},
    Binding{"delivery.masquerade", "stands for the local domains in MAIL FROM; empty: nothing does",
            Text{MEMBER(delivery.masquerade), is_domain_or_empty, k_domain_form}},
    Binding{"delivery.bindAddress", "addresses to connect from, one a family; empty: any",
            TextList{MEMBER(delivery.bind_address), is_address,
                     "a list of addresses such as [\"192.0.2.7\", \"2001:db8::7\"]"}},
    Binding{"delivery.port", "port of the MX hosts", Port{MEMBER(delivery.port)}},
    Binding{"delivery.proxy", "SOCKS5 proxy of all connections out; empty: none",
            Text{MEMBER(delivery.proxy), is_proxy_or_empty,
                 "a proxy such as \"socks5://proxy.example.com:1080\""}},
    Binding{"delivery.proxyUser", "user to log in there as; empty: no login",
            Text{MEMBER(delivery.proxy_user), is_any, "the name of a user"}},
    Binding{"delivery.proxyPasswordFile", "file whose first line is that user's password",
            Text{MEMBER(delivery.proxy_password_file), is_any, k_file_form}},
    Binding{"delivery.directFirst", "try the MX hosts before the smart host",
            Boolean{MEMBER(delivery.direct_first)}},
    Binding{"delivery.smartHost", "host that takes all mail for other domains; empty: their MX",
            Text{MEMBER(delivery.smart_host), is_smart_host_or_empty, k_smart_host_form}},
    Binding{"delivery.smartHostLogin", "who to log in there as, and where the secret comes from",
            LoginObject{MEMBER(delivery.smart_host_login)}},
    Binding{"delivery.tls", "encryption of connections out: none, may, encrypt or verify",
            Text{MEMBER(delivery.tls), is_tls_policy, k_tls_policy_form}},

    Binding{"ndr.copyTo", "address that has a copy of each failure report; empty: none",
            Text{MEMBER(ndr.copy_to), is_ascii_address_or_empty,
                 "an address in ASCII such as \"postmaster@example.com\""}},
    Binding{"ndr.maxSize",
            "largest message that a report returns whole, else its header; 0: no limit",
            Size{MEMBER(ndr.max_size)}},
    Binding{"ndr.rate", "reports that one sender is sent; of the rest, what failed goes to Badmail",
            RateLimit{MEMBER(ndr.rate)}},

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

std::optional<Fault> read_domains(std::map<std::string, RemoteDomain>& into, const Json& value) {
    constexpr std::string_view form =
        R"(an object such as {"example.com": {"relay": true}, "*.example.net": {"tls": "verify"}})";
    if (!value.is_object()) return Fault{"", std::string(form), value};
    for (const auto& [pattern, item] : value.items()) {
        if (!is_domain_pattern(pattern)) return Fault{"", std::string(form), pattern};
        RemoteDomain domain;
        if (auto fault = read_object(domain, item)) return std::move(*fault).in(pattern);
        into.emplace(lower_case(pattern), std::move(domain));
    }
    return std::nullopt;
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

Fault TextList::fault(const Json& value) const {
    if (!value.is_array()) return {"", expected(), value};
    const auto bad = std::ranges::find_if(value, [this](const Json& item) {
        return !item.is_string() || !fits(item.get_ref<const std::string&>());
    });
    return {"", expected(), bad == value.end() ? value : *bad};
}

bool TextMap::read(Settings& settings, const Json& value) const {
    if (!value.is_object()) return false;
    std::map<std::string, std::string> texts;
    for (const auto& [domain, text] : value.items()) {
        if (!is_domain_pattern(domain) || domain.starts_with('*') || !text.is_string()) {
            return false;
        }
        texts.emplace(lower_case(domain), text.get<std::string>());
    }
    member(settings) = std::move(texts);
    return true;
}

bool RemoteDomains::read(Settings& settings, const Json& value) const {
    std::map<std::string, RemoteDomain> domains;
    if (read_domains(domains, value)) return false;
    member(settings) = std::move(domains);
    return true;
}

Fault RemoteDomains::fault(const Json& value) const {
    std::map<std::string, RemoteDomain> unused;
    return read_domains(unused, value).value_or(Fault{});
}

Json RemoteDomains::write(Settings& settings) const {
    auto json = Json::object();
    for (const auto& [pattern, domain] : member(settings)) json[pattern] = write_object(domain);
    return json;
}

bool LoginObject::read(Settings& settings, const Json& value) const {
    SmartHostLogin login;
    if (read_object(login, value)) return false;
    member(settings) = std::move(login);
    return true;
}

Fault LoginObject::fault(const Json& value) const {
    SmartHostLogin unused;
    return read_object(unused, value).value_or(Fault{});
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

bool RateLimit::read(Settings& settings, const Json& value) const {
    if (!value.is_string()) return false;
    const auto rate = parse_rate(value.get_ref<const std::string&>());
    if (!rate || rate->count > k_most_of_anything) return false;
    member(settings) = *rate;
    return true;
}

std::string RateLimit::expected() const {
    return "a rate such as \"200/h\": a number of at most " + std::to_string(k_most_of_anything) +
           " in one s, min, h or d";
}

bool Boolean::read(Settings& settings, const Json& value) const {
    if (value.is_boolean()) member(settings) = value.get<bool>();
    return value.is_boolean();
}

}  // namespace mailroot::config
