#include "commands/mx_lookup.hpp"

#include "core/address.hpp"
#include "core/quantity.hpp"
#include "core/text.hpp"
#include "dns/ares_resolver.hpp"
#include "dns/caching_resolver.hpp"
#include "dns/mail_hosts.hpp"
#include "message/idn.hpp"
#include "smtp/loop.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iomanip>
#include <istream>
#include <memory>
#include <ostream>
#include <random>

namespace mailroot::commands {

namespace {

using dns::MailHosts;
using Json = nlohmann::ordered_json;

/// One name that was given, and what became of it.
struct Lookup {
    std::string name;    ///< as it was given
    std::string domain;  ///< as DNS is asked; empty where the name is none
    MailHosts found;
};

/// A bare IP address as the literal that SMTP writes (RFC 5321 4.1.3); other names as they are. The
/// shell's users write `[192.0.2.1]` without its brackets anyhow: the option parser takes them for
/// a list's.
std::string with_brackets(std::string_view name) {
    if (name.find(':') != std::string_view::npos && !name.starts_with('['))
        return (name.starts_with("IPv6:") ? "[" : "[IPv6:") + std::string(name) + ']';
    const bool ipv4 = name.find_first_not_of("0123456789.") == std::string_view::npos &&
                      name.find('.') != std::string_view::npos;
    return ipv4 ? '[' + std::string(name) + ']' : std::string(name);
}

/// The domain of `user@domain`, or of `domain` itself, as DNS has it.
Result<std::string> domain_of(std::string_view name) {
    const bool is_address = name.find('@') != std::string_view::npos;
    if (!is_address && name.ends_with('.')) name.remove_suffix(1);
    const auto address =
        parse_address(is_address ? std::string(name) : "postmaster@" + with_brackets(name));
    if (!address || address->domain.empty())
        return fail(Error::Kind::parse, "'" + std::string(name) + "' is no domain or address");
    if (address->domain.starts_with('[')) return address->domain;
    return message::ascii_domain(address->domain);
}

Lookup prepared(std::string name) {
    Lookup lookup{std::move(name), {}, {}};
    if (auto domain = domain_of(lookup.name)) {
        lookup.domain = std::move(*domain);
    } else {
        lookup.found.error = std::move(domain).error().what;
    }
    return lookup;
}

std::vector<Lookup> prepare(const std::vector<std::string>& names, std::istream& in) {
    std::vector<Lookup> lookups;
    for (const auto& name : names) {
        if (name != "-") {
            lookups.push_back(prepared(name));
            continue;
        }
        for (std::string line; std::getline(in, line);) {
            if (const auto text = trimmed(line); !text.empty())
                lookups.push_back(prepared(std::string(text)));
        }
    }
    return lookups;
}

/// What the workers share.
struct Work {
    std::vector<Lookup>& lookups;
    Reactor& reactor;
    dns::Resolver& resolver;
    std::mt19937 random{std::random_device{}()};
    std::size_t next = 0;
};

smtp::Task<void> look_up(Work& work) {
    while (work.next < work.lookups.size()) {
        Lookup& lookup = work.lookups[work.next++];
        if (lookup.domain.empty()) continue;
        auto start = [&work, &lookup](auto then) {
            // A literal is answered at once, which a waiting coroutine cannot be.
            auto later = [&work, then](MailHosts hosts) {
                work.reactor.post([then, hosts = std::move(hosts)] { then(hosts); });
            };
            dns::find_mail_hosts(work.resolver, lookup.domain, work.random, std::move(later));
        };
        lookup.found = co_await smtp::from_callback<MailHosts>(std::move(start));
    }
}

Result<void> look_up_all(std::vector<Lookup>& lookups, const config::Settings::Dns& settings,
                         const Clock& clock) {
    constexpr int k_at_once = 20;
    constexpr std::size_t k_cached = 10'000;
    smtp::Loop loop(1);
    const auto reactor = smtp::make_reactor(loop);
    const auto resolver = dns::make_ares_resolver(*reactor, {settings.servers, settings.timeout});
    if (!resolver) return fail(Error::Kind::config, "dns.servers: " + resolver.error().what);
    const auto cache = dns::make_caching_resolver(**resolver, *reactor, clock, k_cached);
    Work work{lookups, *reactor, *cache};
    for (int i = 0; i < k_at_once; ++i) smtp::spawn(loop, look_up(work));
    loop.run();
    return {};
}

std::string_view status_name(const Lookup& lookup) {
    if (lookup.domain.empty()) return "bad_name";
    switch (lookup.found.status) {
        case MailHosts::Status::found:
            return "found";
        case MailHosts::Status::null_mx:
            return "null_mx";
        case MailHosts::Status::no_such_domain:
            return "no_such_domain";
        case MailHosts::Status::no_address:
            return "no_address";
        case MailHosts::Status::temporary:
            break;
    }
    return "temporary";
}

/// Of one name:
///     name      as it was given
///     domain    as DNS was asked: A-labels, without the local part; empty for a bad name
///     status    found, null_mx, no_such_domain, no_address, temporary, bad_name
///     hosts     by preference; of each: name, preference, addresses (may be empty), error (why)
///     implicit  true where there is no MX and the domain's own address is used
///     aliases   the CNAME chain that was followed
///     ttl       seconds for which this holds
///     error     in words, empty where status is found
Json json_of(const Lookup& lookup) {
    auto hosts = Json::array();
    for (const auto& host : lookup.found.hosts) {
        hosts.push_back({{"name", host.name},
                         {"preference", host.preference},
                         {"addresses", host.addresses},
                         {"error", host.error}});
    }
    return {{"name", lookup.name},
            {"domain", lookup.domain},
            {"status", status_name(lookup)},
            {"hosts", std::move(hosts)},
            {"implicit", lookup.found.implicit},
            {"aliases", lookup.found.aliases},
            {"ttl", lookup.found.ttl.count()},
            {"error", lookup.found.error}};
}

void print_json(const std::vector<Lookup>& lookups, std::ostream& out) {
    auto all = Json::array();
    for (const auto& lookup : lookups) all.push_back(json_of(lookup));
    constexpr int k_indent = 2;
    out << all.dump(k_indent, ' ', false, Json::error_handler_t::replace) << '\n';
}

void print_hosts(const MailHosts& found, std::ostream& out) {
    constexpr int k_preference_width = 7;  // five digits, indented by two
    std::size_t width = 0;
    for (const auto& host : found.hosts) width = std::max(width, host.name.size());
    for (const auto& host : found.hosts) {
        out << std::right << std::setw(k_preference_width) << host.preference << "  " << std::left
            << std::setw(static_cast<int>(width)) << host.name << ' ';
        for (const auto& address : host.addresses) out << ' ' << address;
        if (host.addresses.empty()) out << " (" << host.error << ')';
        out << '\n';
    }
}

/// A line for the name, one below it for each host:
///     alias.example -> real.example  ttl 5m
///          10  mx1.example  2001:db8::1 192.0.2.1
void print_text(const Lookup& lookup, std::ostream& out) {
    const auto& found = lookup.found;
    out << lookup.name;
    for (const auto& alias : found.aliases) out << " -> " << alias;
    if (found.implicit) out << "  no MX, its own address";
    if (!found.error.empty()) out << "  " << found.error;
    if (found.error.empty() && found.ttl.count() > 0) out << "  ttl " << duration_text(found.ttl);
    out << '\n';
    print_hosts(found, out);
}

int exit_code_of(const std::vector<Lookup>& lookups) {
    const auto any = [&](const auto& test) { return std::ranges::any_of(lookups, test); };
    const auto is_bad = [](const Lookup& lookup) { return lookup.domain.empty(); };
    const auto is_temporary = [](const Lookup& lookup) {
        return lookup.found.status == MailHosts::Status::temporary;
    };
    const auto is_found = [](const Lookup& lookup) {
        return lookup.found.status == MailHosts::Status::found;
    };
    if (any(is_bad)) return k_bad_input;
    if (any([&](const Lookup& lookup) { return !is_found(lookup) && !is_temporary(lookup); }))
        return k_no_host;
    return any(is_temporary) ? k_try_later : k_done;
}

}  // namespace

Result<int> run_mx_lookup(const MxLookupOptions& options, Environment& environment) {
    const auto settings = settings_of(environment);
    if (!settings) return tl::unexpected(settings.error());
    auto lookups = prepare(options.names, environment.in);
    if (const auto done = look_up_all(lookups, settings->dns, environment.clock); !done)
        return tl::unexpected(done.error());
    if (options.json) {
        print_json(lookups, environment.out);
    } else {
        for (const auto& lookup : lookups) print_text(lookup, environment.out);
    }
    return exit_code_of(lookups);
}

void add_mx_lookup(CLI::App& command, Environment& environment) {
    const auto options = std::make_shared<MxLookupOptions>();
    command
        .add_option("name", options->names,
                    "domains or addresses; - reads one a line from standard input")
        ->required()
        ->type_name("NAME|ADDRESS");
    command.add_flag("--json", options->json, "print JSON");
    on_chosen(command, environment, options, run_mx_lookup);
}

}  // namespace mailroot::commands
