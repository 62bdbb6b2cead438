#include "dns/caching_resolver.hpp"

#include "dns/fakes.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <optional>

using namespace mailroot;
using namespace mailroot::dns;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

struct World {
    explicit World(std::size_t capacity = 100)
        : cache(make_caching_resolver(zone, reactor, clock, capacity)) {}

    ManualReactor reactor;
    ManualClock clock;
    ZoneResolver zone{reactor};
    std::unique_ptr<Resolver> cache;

    MxAnswer mx(const std::string& name) {
        std::optional<MxAnswer> got;
        cache->mx(name, [&](MxAnswer answer) { got = std::move(answer); });
        REQUIRE_FALSE(got);  // never from within the call
        reactor.run();
        REQUIRE(got);
        return *got;
    }

    AddressAnswer addresses(const std::string& name, Family family) {
        std::optional<AddressAnswer> got;
        cache->addresses(name, family, [&](AddressAnswer answer) { got = std::move(answer); });
        REQUIRE_FALSE(got);
        reactor.run();
        REQUIRE(got);
        return *got;
    }

    void add_mx(const std::string& name, Status status, std::chrono::seconds ttl) {
        zone.mail_exchanges[name] = {status, {}, {}, ttl, {}};
        if (status == Status::found) zone.mail_exchanges[name].records = {{10, "mx." + name}};
    }
};

}  // namespace

TEST_CASE("an answer is kept for as long as its kind may be") {
    struct Row {
        Status status;
        std::chrono::seconds ttl, kept;
    };
    const Row rows[] = {
        {Status::found, 60s, 60s},        {Status::found, 48h, 24h},
        {Status::found, 0s, 0s},          {Status::no_data, 60s, 60s},
        {Status::no_data, 1h, 5min},      {Status::no_such_domain, 1h, 5min},
        {Status::no_such_domain, 0s, 0s}, {Status::temporary, 1h, 0s},
    };
    for (const auto& row : rows) {
        CAPTURE(static_cast<int>(row.status));
        CAPTURE(row.ttl.count());
        World world;
        world.add_mx("a.example", row.status, row.ttl);
        CHECK(world.mx("a.example").status == row.status);
        if (row.kept > 0s) {
            world.clock.advance(row.kept - 1s);
            const auto again = world.mx("A.Example");
            CHECK(again.status == row.status);
            CHECK(again.ttl == 1s);
            CHECK(again.records.size() == (row.status == Status::found ? 1 : 0));
            CHECK(world.zone.asked.size() == 1);
            world.clock.advance(1s);
        }
        CHECK(world.mx("a.example").status == row.status);
        CHECK(world.zone.asked.size() == 2);
    }
}

TEST_CASE("a clock that is set back makes nothing last longer") {
    World world;
    world.add_mx("a.example", Status::found, 1h);
    world.mx("a.example");
    world.clock.advance(-24h);
    world.mx("a.example");
    CHECK(world.zone.asked.size() == 2);
}

TEST_CASE("types and families are kept apart") {
    World world;
    world.add_mx("a.example", Status::found, 1h);
    world.zone.add_host("a.example", Family::ipv4, {"192.0.2.1"}, 1h);
    world.zone.add_host("a.example", Family::ipv6, {"2001:db8::1"}, 1h);
    for (int i = 0; i < 2; ++i) {
        CHECK(world.mx("a.example").records.size() == 1);
        CHECK(world.addresses("a.example", Family::ipv4).addresses == Names{"192.0.2.1"});
        CHECK(world.addresses("a.example", Family::ipv6).addresses == Names{"2001:db8::1"});
    }
    CHECK(world.zone.asked == Names{"MX a.example", "A a.example", "AAAA a.example"});
}

TEST_CASE("a question under way is shared, and everybody gets the answer") {
    World world;
    world.add_mx("a.example", Status::temporary, 0s);
    int answers = 0;
    for (int i = 0; i < 3; ++i) {
        world.cache->mx("a.example", [&](const MxAnswer& answer) {
            CHECK(answer.status == Status::temporary);
            ++answers;
        });
    }
    CHECK(answers == 0);
    world.reactor.run();
    CHECK(answers == 3);
    CHECK(world.zone.asked.size() == 1);
}

TEST_CASE("an answer's reader may ask again at once") {
    World world;
    world.add_mx("a.example", Status::temporary, 0s);
    int answers = 0;
    world.cache->mx("a.example", [&](const MxAnswer&) {
        world.cache->mx("a.example", [&](const MxAnswer&) { ++answers; });
    });
    world.reactor.run();
    CHECK(answers == 1);
    CHECK(world.zone.asked.size() == 2);
}

TEST_CASE("the name unused longest makes room") {
    World world(2);
    for (const auto* name : {"a", "b", "c"}) world.add_mx(name, Status::found, 1h);
    world.mx("a");
    world.mx("b");
    world.mx("a");
    world.mx("c");
    CHECK(world.zone.asked == Names{"MX a", "MX b", "MX c"});
    world.mx("a");
    CHECK(world.zone.asked.size() == 3);
    world.mx("b");
    CHECK(world.zone.asked.size() == 4);
}

TEST_CASE("a capacity of nothing keeps nothing and still answers") {
    World world(0);
    world.add_mx("a", Status::found, 1h);
    CHECK(world.mx("a").status == Status::found);
    CHECK(world.mx("a").status == Status::found);
    CHECK(world.zone.asked.size() == 2);
}

TEST_CASE("a cache that goes answers what is under way, once, for now") {
    World world;
    world.add_mx("a.example", Status::found, 1h);
    int answers = 0;
    world.cache->mx("a.example", [&](const MxAnswer& answer) {
        CHECK(answer.status == Status::temporary);
        CHECK_FALSE(answer.error.empty());
        ++answers;
    });
    world.cache->addresses("a.example", Family::ipv6, [&](const AddressAnswer& answer) {
        CHECK(answer.status == Status::temporary);
        ++answers;
    });
    world.cache.reset();
    CHECK(answers == 0);
    world.reactor.run();
    CHECK(answers == 2);
}

TEST_CASE("an answer's reader may destroy the cache") {
    World world;
    world.add_mx("a.example", Status::found, 1h);
    int answers = 0;
    for (int i = 0; i < 2; ++i) {
        world.cache->mx("a.example", [&](const MxAnswer& answer) {
            CHECK(answer.status == Status::found);
            world.cache.reset();
            ++answers;
        });
    }
    world.reactor.run();
    CHECK(answers == 2);
}
