#include "dns/mail_hosts.hpp"

#include "dns/fakes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <set>

using namespace mailroot;
using namespace mailroot::dns;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

struct World {
    ManualReactor reactor;
    ZoneResolver zone{reactor};
    std::mt19937 random{1};

    MailHosts find(const std::string& domain) {
        std::optional<MailHosts> found;
        find_mail_hosts(zone, domain, random, [&](MailHosts hosts) {
            REQUIRE_FALSE(found);
            found = std::move(hosts);
        });
        reactor.run();
        REQUIRE(found);
        return *found;
    }

    void add_mx(const std::string& name, std::vector<MxRecord> records,
                std::chrono::seconds ttl = 1h) {
        zone.mail_exchanges[name] = {Status::found, std::move(records), {}, ttl, {}};
    }
    void add_no_mx(const std::string& name) {
        zone.mail_exchanges[name] = {Status::no_data, {}, {}, 0s, "no MX"};
    }
    void fail_address(const std::string& name, Family family, Status status,
                      const std::string& error) {
        zone.hosts[{name, family}] = {status, {}, 0s, error};
    }
};

Names names(const MailHosts& found) {
    Names all;
    for (const auto& host : found.hosts) all.push_back(host.name);
    return all;
}

}  // namespace

TEST_CASE("mail hosts come by preference, each with both families' addresses") {
    World world;
    world.add_mx("a.example", {{20, "second.example"}, {10, "first.example"}}, 1h);
    world.zone.add_host("first.example", Family::ipv4, {"192.0.2.1", "192.0.2.2"}, 10min);
    world.zone.add_host("first.example", Family::ipv6, {"2001:db8::1"}, 20min);
    world.zone.add_host("second.example", Family::ipv4, {"192.0.2.3"}, 30min);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::found);
    CHECK_FALSE(found.implicit);
    REQUIRE(names(found) == Names{"first.example", "second.example"});
    CHECK(found.hosts[0].preference == 10);
    CHECK(found.hosts[0].addresses == Names{"2001:db8::1", "192.0.2.1", "192.0.2.2"});
    CHECK(found.hosts[0].error.empty());
    CHECK(found.hosts[1].addresses == Names{"192.0.2.3"});
    CHECK(found.ttl == 10min);
}

TEST_CASE("the TTL is the MX's where that is the smallest") {
    World world;
    world.add_mx("a.example", {{10, "mx.example"}}, 1min);
    world.zone.add_host("mx.example", Family::ipv4, {"192.0.2.1"}, 10min);
    CHECK(world.find("a.example").ttl == 1min);
}

TEST_CASE("hosts of equal preference are shuffled, and never past another preference") {
    World world;
    world.add_mx("a.example",
                 {{20, "last.example"}, {10, "a"}, {10, "b"}, {10, "c"}, {5, "first"}});
    std::set<Names> orders;
    for (int i = 0; i < 100; ++i) {
        const auto order = names(world.find("a.example"));
        REQUIRE(order.size() == 5);
        CHECK(order.front() == "first");
        CHECK(order.back() == "last.example");
        orders.insert(order);
    }
    CHECK(orders.size() == 6);
}

TEST_CASE("a host named twice is asked for once, at its best preference") {
    World world;
    world.add_mx("a.example", {{20, "mx.example"}, {10, "MX.example"}});
    const auto found = world.find("a.example");
    REQUIRE(names(found) == Names{"MX.example"});
    CHECK(found.hosts[0].preference == 10);
    CHECK(world.zone.asked.size() == 3);
}

TEST_CASE("a zone's endless list is not looked up to its end") {
    World world;
    std::vector<MxRecord> records;
    for (int i = 0; i < 1'000; ++i) records.push_back({10, "mx" + std::to_string(i)});
    world.add_mx("a.example", std::move(records));
    CHECK(world.find("a.example").hosts.size() == 100);
    CHECK(world.zone.asked.size() == 201);
}

TEST_CASE("a single MX that names the root says that the domain takes no mail") {
    World world;
    world.add_mx("a.example", {{0, ""}});
    world.zone.add_host("a.example", Family::ipv4, {"192.0.2.1"}, 1h);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::null_mx);
    CHECK(found.hosts.empty());
    CHECK(found.error.find("a.example") != std::string::npos);
}

TEST_CASE("a null MX beside others names no host") {
    World world;
    world.add_mx("a.example", {{0, ""}, {10, "mx.example"}});
    world.zone.add_host("mx.example", Family::ipv4, {"192.0.2.1"}, 1h);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::found);
    CHECK(names(found) == Names{"mx.example"});

    world.add_mx("b.example", {{0, ""}, {10, ""}});
    CHECK(world.find("b.example").status == MailHosts::Status::no_address);
}

TEST_CASE("a domain without MX is its own host") {
    World world;
    world.add_no_mx("a.example");
    world.zone.mail_exchanges["a.example"].aliases = {"real.example"};
    world.zone.add_host("a.example", Family::ipv6, {"2001:db8::1"}, 7min);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::found);
    CHECK(found.implicit);
    REQUIRE(names(found) == Names{"a.example"});
    CHECK(found.hosts[0].preference == 0);
    CHECK(found.hosts[0].addresses == Names{"2001:db8::1"});
    CHECK(found.aliases == Names{"real.example"});
    CHECK(found.ttl == 7min);
}

TEST_CASE("a domain with neither MX nor address has no mail host") {
    World world;
    world.add_no_mx("a.example");
    world.fail_address("a.example", Family::ipv4, Status::no_data, "");
    world.fail_address("a.example", Family::ipv6, Status::no_data, "");
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::no_address);
    CHECK_FALSE(found.error.empty());
}

TEST_CASE("a domain that does not exist is not asked for further") {
    World world;
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::no_such_domain);
    CHECK(found.error == "no such domain");
    CHECK(world.zone.asked == Names{"MX a.example"});
}

TEST_CASE("an MX question that fails for now is no licence to try the domain's address") {
    World world;
    world.zone.mail_exchanges["a.example"] = {Status::temporary, {}, {}, 0s, "server failed"};
    world.zone.add_host("a.example", Family::ipv4, {"192.0.2.1"}, 1h);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::temporary);
    CHECK(found.error == "server failed");
    CHECK(world.zone.asked == Names{"MX a.example"});
}

TEST_CASE("MX present but without an address is no licence to try the domain's address") {
    World world;
    world.add_mx("a.example", {{10, "192.0.2.9"}, {20, "gone.example"}});
    world.zone.add_host("a.example", Family::ipv4, {"192.0.2.1"}, 1h);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::no_address);
    REQUIRE(found.hosts.size() == 2);
    for (const auto& host : found.hosts) {
        CHECK(host.addresses.empty());
        CHECK(host.error == "no such domain");
    }
}

TEST_CASE("one family that fails for now does not hide the other's addresses") {
    World world;
    world.add_mx("a.example", {{10, "mx.example"}});
    world.fail_address("mx.example", Family::ipv6, Status::temporary, "timeout");
    world.zone.add_host("mx.example", Family::ipv4, {"192.0.2.1"}, 1h);
    const auto found = world.find("a.example");
    CHECK(found.status == MailHosts::Status::found);
    CHECK(found.hosts[0].addresses == Names{"192.0.2.1"});
    CHECK(found.hosts[0].error.empty());
}

TEST_CASE("a host that fails for now keeps its error, and decides only where none has an address") {
    for (const auto failing : {Family::ipv4, Family::ipv6}) {
        World world;
        world.add_mx("a.example", {{10, "gone.example"}, {20, "slow.example"}});
        world.fail_address("slow.example", Family::ipv4, Status::no_data, "none");
        world.fail_address("slow.example", Family::ipv6, Status::no_data, "none");
        world.fail_address("slow.example", failing, Status::temporary, "timeout");
        auto found = world.find("a.example");
        CHECK(found.status == MailHosts::Status::temporary);
        CHECK(found.error == "timeout");
        CHECK(found.hosts[1].error == "timeout");

        world.zone.add_host("gone.example", Family::ipv4, {"192.0.2.1"}, 1h);
        found = world.find("a.example");
        CHECK(found.status == MailHosts::Status::found);
        CHECK(found.error.empty());
        CHECK(found.hosts[1].error == "timeout");
    }
}

TEST_CASE("a host is asked for by its name, whatever MX it has") {
    World world;
    world.add_mx("relay.example", {{10, "elsewhere.example"}});
    world.zone.add_host("relay.example", Family::ipv4, {"192.0.2.7"}, 10min);
    std::optional<MailHosts> found;
    const auto take = [&](MailHosts hosts) { found = std::move(hosts); };
    find_host(world.zone, "relay.example", world.random, take);
    world.reactor.run();
    REQUIRE(found);
    CHECK(found->status == MailHosts::Status::found);
    CHECK(names(*found) == Names{"relay.example"});
    CHECK(found->hosts[0].addresses == Names{"192.0.2.7"});
    find_host(world.zone, "[IPv6:2001:db8::1]", world.random, take);
    CHECK(found->hosts[0].addresses == Names{"2001:db8::1"});
}

TEST_CASE("an address literal is its own host, without a question") {
    struct Row {
        std::string literal, address;
    };
    const Row rows[] = {
        {"[192.0.2.1]", "192.0.2.1"},
        {"[IPv6:2001:DB8:0::1]", "2001:db8::1"},
        {"[ipv6:::1]", "::1"},
        {"[192.0.2]", ""},
        {"[2001:db8::1]", ""},
        {"[IPv6:192.0.2.1]", ""},
        {"[192.0.2.1", ""},
        {"[", ""},
        {"[]", ""},
    };
    World world;
    for (const auto& row : rows) {
        CAPTURE(row.literal);
        std::optional<MailHosts> found;
        find_mail_hosts(world.zone, row.literal, world.random,
                        [&](MailHosts hosts) { found = std::move(hosts); });
        REQUIRE(found);
        if (row.address.empty()) {
            CHECK(found->status == MailHosts::Status::no_such_domain);
            CHECK(found->error.find(row.literal) != std::string::npos);
        } else {
            CHECK(found->status == MailHosts::Status::found);
            REQUIRE(names(*found) == Names{row.address});
            CHECK(found->hosts[0].addresses == Names{row.address});
        }
    }
    CHECK(world.zone.asked.empty());
}
