#include "delivery/client_lookup.hpp"

#include "core/address.hpp"
#include "dns/reverse_name.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

namespace mailroot::delivery {

namespace {

using namespace std::chrono_literals;

constexpr auto k_patience = 5s;

// Who owns the address decides how many names it has; more are not looked at.
constexpr std::size_t k_most_names = 5;

/// What is known so far; held by each question that is still open.
struct Findings {
    explicit Findings(smtp::Loop& loop) : changed(loop) {}

    std::string name;
    std::vector<bool> listed;
    std::size_t open = 0;
    smtp::Signal changed;

    void one_less() {
        --open;
        changed.notify();
    }
};

bool is_listing(const dns::AddressAnswer& answer) {
    return std::ranges::any_of(answer.addresses, [](const std::string& address) {
        return address.starts_with("127.") && !address.starts_with("127.255.255.");
    });
}

smtp::Task<void> find_listing(dns::Resolver& resolver, std::string name, std::size_t list,
                              std::shared_ptr<Findings> findings) {
    auto ask = [&](auto then) { resolver.addresses(name, dns::Family::ipv4, std::move(then)); };
    const auto answer = co_await smtp::from_callback<dns::AddressAnswer>(ask);
    findings->listed[list] = is_listing(answer);
    findings->one_less();
}

smtp::Task<bool> has_address(dns::Resolver& resolver, std::string name, std::string address) {
    const auto family =
        address.find(':') == std::string::npos ? dns::Family::ipv4 : dns::Family::ipv6;
    auto ask = [&](auto then) { resolver.addresses(name, family, std::move(then)); };
    const auto answer = co_await smtp::from_callback<dns::AddressAnswer>(ask);
    co_return std::ranges::find(answer.addresses, address) != answer.addresses.end();
}

smtp::Task<void> find_name(dns::Resolver& resolver, std::string address,
                           std::shared_ptr<Findings> findings) {
    auto ask = [&](auto then) { resolver.names(dns::reverse_name(address), std::move(then)); };
    auto answer = co_await smtp::from_callback<dns::NameAnswer>(ask);
    if (answer.names.size() > k_most_names) answer.names.resize(k_most_names);
    for (const auto& name : answer.names) {
        const bool confirmed = co_await has_address(resolver, name, address);
        if (!confirmed) continue;
        findings->name = name;
        break;
    }
    findings->one_less();
}

}  // namespace

smtp::Task<void> look_up(smtp::Loop& loop, dns::Resolver& resolver, ClientQuestions questions,
                         Peer& client) {
    const auto findings = std::make_shared<Findings>(loop);
    findings->listed.resize(questions.blocklists.size());
    findings->open = questions.blocklists.size() + (questions.name ? 1 : 0);
    if (questions.name) smtp::spawn(loop, find_name(resolver, client.address, findings));
    for (std::size_t i = 0; i < questions.blocklists.size(); ++i) {
        auto name = dns::reverse_name(client.address, questions.blocklists[i]);
        smtp::spawn(loop, find_listing(resolver, std::move(name), i, findings));
    }
    const auto until = std::chrono::steady_clock::now() + k_patience;
    for (auto left = 1ms; findings->open > 0 && left > 0ms;) {
        left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        co_await findings->changed.wait_for(left);
    }
    client.name = findings->name;
    const auto listed = std::ranges::find(findings->listed, true);
    if (listed != findings->listed.end()) {
        client.blocklist =
            questions.blocklists[static_cast<std::size_t>(listed - findings->listed.begin())];
    }
}

}  // namespace mailroot::delivery
