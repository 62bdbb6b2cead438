#include "dns/mail_hosts.hpp"

#include "core/address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <memory>
#include <optional>
#include <utility>

namespace mailroot::dns {

namespace {

// A message would never try more; what a hostile zone lists beyond is not looked up.
constexpr std::size_t k_most_hosts = 100;

std::optional<std::string> canonical_address(int family, const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> octets{};
    std::array<char, INET6_ADDRSTRLEN> spelled{};
    if (::inet_pton(family, text.c_str(), octets.data()) != 1) return std::nullopt;
    return ::inet_ntop(family, octets.data(), spelled.data(), spelled.size());
}

/// The address of `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3).
std::optional<std::string> literal_address(std::string_view literal) {
    constexpr std::string_view k_tag = "IPv6:";
    if (!literal.ends_with(']')) return std::nullopt;
    const auto inside = literal.substr(1, literal.size() - 2);
    if (equal_ignoring_case(inside.substr(0, k_tag.size()), k_tag))
        return canonical_address(AF_INET6, std::string(inside.substr(k_tag.size())));
    return canonical_address(AF_INET, std::string(inside));
}

MailHosts literal_hosts(std::string_view literal) {
    MailHosts hosts;
    if (auto address = literal_address(literal)) {
        hosts.status = MailHosts::Status::found;
        hosts.hosts.push_back({*address, 0, {*address}, {}});
    } else {
        hosts.status = MailHosts::Status::no_such_domain;
        hosts.error = std::string(literal) + " is no address literal";
    }
    return hosts;
}

/// One search, alive as long as a question of it is under way.
class Search : public std::enable_shared_from_this<Search> {
 public:
    Search(Resolver& resolver, std::string_view domain, std::mt19937& random,
           std::function<void(MailHosts)> then)
        : resolver_(resolver), domain_(domain), random_(random), then_(std::move(then)) {}

    void start() {
        resolver_.mx(domain_, [self = shared_from_this()](MxAnswer answer) {
            self->take_mx(std::move(answer));
        });
    }

    /// The domain is a host, whatever MX it may have.
    void start_with_host() {
        found_.implicit = true;
        found_.hosts.push_back({domain_, 0, {}, {}});
        ask_addresses();
    }

 private:
    /// What is known of one host beside its MailHost.
    struct Lookup {
        std::array<AddressAnswer, 2> answers;  ///< by Family
        int open = 2;
    };

    void take_mx(MxAnswer answer) {
        found_.aliases = std::move(answer.aliases);
        switch (answer.status) {
            case Status::found:
                found_.ttl = answer.ttl;
                return take_records(std::move(answer.records));
            case Status::no_data:
                // RFC 5321 5.1: without MX the domain is its own host, of preference 0.
                return start_with_host();
            case Status::no_such_domain:
                return finish(MailHosts::Status::no_such_domain, std::move(answer.error));
            case Status::temporary:
                return finish(MailHosts::Status::temporary, std::move(answer.error));
        }
    }

    void take_records(std::vector<MxRecord> records) {
        // RFC 7505 3: a null MX stands alone; beside others it is a mistake and names no host.
        if (records.size() == 1 && records.front().exchange.empty())
            return finish(MailHosts::Status::null_mx, domain_ + " takes no mail (null MX)");
        std::erase_if(records, [](const MxRecord& record) { return record.exchange.empty(); });

        std::ranges::shuffle(records, random_);
        std::ranges::stable_sort(records, {}, &MxRecord::preference);
        for (auto& record : records) add_host(std::move(record));
        if (found_.hosts.empty())
            return finish(MailHosts::Status::no_address, "the MX of " + domain_ + " name no host");
        ask_addresses();
    }

    void add_host(MxRecord record) {
        const bool known = std::ranges::any_of(found_.hosts, [&](const MailHost& host) {
            return equal_ignoring_case(host.name, record.exchange);
        });
        if (!known && found_.hosts.size() < k_most_hosts)
            found_.hosts.push_back({std::move(record.exchange), record.preference, {}, {}});
    }

    void ask_addresses() {
        lookups_.resize(found_.hosts.size());
        open_ = found_.hosts.size();
        for (std::size_t i = 0; i < found_.hosts.size(); ++i) {
            for (const auto family : {Family::ipv6, Family::ipv4}) {
                resolver_.addresses(found_.hosts[i].name, family,
                                    [self = shared_from_this(), i, family](AddressAnswer answer) {
                                        self->take_addresses(i, family, std::move(answer));
                                    });
            }
        }
    }

    void take_addresses(std::size_t i, Family family, AddressAnswer answer) {
        auto& lookup = lookups_[i];
        lookup.answers[static_cast<std::size_t>(family)] = std::move(answer);
        if (--lookup.open > 0) return;
        settle_host(found_.hosts[i], lookup);
        if (--open_ == 0) conclude();
    }

    void settle_host(MailHost& host, const Lookup& lookup) {
        const auto& ipv4 = lookup.answers[static_cast<std::size_t>(Family::ipv4)];
        const auto& ipv6 = lookup.answers[static_cast<std::size_t>(Family::ipv6)];
        for (const auto* answer : {&ipv6, &ipv4}) {
            if (answer->status != Status::found) continue;
            std::ranges::copy(answer->addresses, std::back_inserter(host.addresses));
            shorten_ttl(answer->ttl);
        }
        if (!host.addresses.empty()) return;
        // What may be otherwise later says more than what is certain to be absent.
        const auto& telling = ipv6.status == Status::temporary ? ipv6 : ipv4;
        host.error = telling.error.empty() ? host.name + " has no address" : telling.error;
        if (telling.status == Status::temporary) temporary_error_ = host.error;
    }

    void shorten_ttl(std::chrono::seconds ttl) {
        // An implicit host has no MX whose TTL could have come before.
        found_.ttl = has_ttl_ || !found_.implicit ? std::min(found_.ttl, ttl) : ttl;
        has_ttl_ = true;
    }

    void conclude() {
        const bool any = std::ranges::any_of(
            found_.hosts, [](const MailHost& host) { return !host.addresses.empty(); });
        if (any) return finish(MailHosts::Status::found, {});
        if (temporary_error_) return finish(MailHosts::Status::temporary, *temporary_error_);
        finish(MailHosts::Status::no_address,
               found_.implicit ? domain_ + " has neither MX nor address"
                               : "no mail host of " + domain_ + " has an address");
    }

    void finish(MailHosts::Status status, std::string error) {
        found_.status = status;
        found_.error = std::move(error);
        then_(std::move(found_));
    }

    Resolver& resolver_;
    const std::string domain_;
    std::mt19937& random_;
    const std::function<void(MailHosts)> then_;
    MailHosts found_;
    std::vector<Lookup> lookups_;
    std::size_t open_ = 0;
    std::optional<std::string> temporary_error_;  ///< of one host without an address
    bool has_ttl_ = false;
};

}  // namespace

void find_mail_hosts(Resolver& resolver, std::string_view domain, std::mt19937& random,
                     std::function<void(MailHosts)> then) {
    if (domain.starts_with('[')) return then(literal_hosts(domain));
    std::make_shared<Search>(resolver, domain, random, std::move(then))->start();
}

void find_host(Resolver& resolver, std::string_view name, std::mt19937& random,
               std::function<void(MailHosts)> then) {
    if (name.starts_with('[')) return then(literal_hosts(name));
    std::make_shared<Search>(resolver, name, random, std::move(then))->start_with_host();
}

}  // namespace mailroot::dns
