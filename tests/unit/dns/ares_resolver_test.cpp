#include "dns/ares_resolver.hpp"

#include "core/address.hpp"
#include "dns/mail_hosts.hpp"
#include "dns/nsd.hpp"
#include "dns/poll_reactor.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>

using namespace mailroot;
using namespace mailroot::dns;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

std::string records() {
    std::string text = R"(
a           600  MX     20 mx2
a           500  MX     10 mx1
mx1         300  A      192.0.2.1
mx1         200  A      192.0.2.2
mx1         300  AAAA   2001:db8::1
mx2         300  A      192.0.2.3
null             MX     0 .
alias1      100  CNAME  alias2
alias2      150  CNAME  A
dangling         CNAME  gone
host-alias  50   CNAME  mx1
plain            A      192.0.2.7
numeric          MX     10 192.0.2.9.
)";
    for (int i = 0; i < 40; ++i) {
        text += "many MX 10 a-mail-host-with-a-name-long-enough-" + std::to_string(10 + i) + "\n";
    }
    return text;
}

/// The name server that the tests of this file share; it goes with the last of them.
const Nsd& name_server() {
    static const Nsd nsd(records());
    return nsd;
}

/// A name server that answers only where it is told to.
class SilentServer {
 public:
    struct Question {
        std::string octets;
        sockaddr_in from;
    };

    [[nodiscard]] std::string name() const { return "127.0.0.1:" + std::to_string(socket_.port()); }

    /// Those that came since the last look.
    [[nodiscard]] std::vector<Question> questions() const {
        std::vector<Question> all;
        char octets[512];
        for (sockaddr_in from{};;) {
            socklen_t size = sizeof from;
            const auto count = ::recvfrom(socket_.fd(), octets, sizeof octets, MSG_DONTWAIT,
                                          reinterpret_cast<sockaddr*>(&from), &size);
            if (count < 0) return all;
            all.push_back({std::string(octets, static_cast<std::size_t>(count)), from});
        }
    }

    /// There is nothing of that kind, it says.
    void answer(Question question) const {
        question.octets[2] = '\x81';  // a response to a question that wanted recursion
        ::sendto(socket_.fd(), question.octets.data(), question.octets.size(), 0,
                 reinterpret_cast<const sockaddr*>(&question.from), sizeof question.from);
    }

 private:
    const LoopbackSocket socket_{SOCK_DGRAM, 0};
};

struct World {
    explicit World(const std::vector<std::string>& servers = {name_server().server()},
                   std::chrono::milliseconds timeout = 5s) {
        auto made = make_ares_resolver(reactor, {servers, timeout});
        REQUIRE_MESSAGE(made, made.error().what);
        resolver = std::move(*made);
    }

    PollReactor reactor;
    std::unique_ptr<Resolver> resolver;

    template <class Answer, class Ask>
    Answer ask(const Ask& question) {
        std::optional<Answer> got;
        question([&got](Answer answer) {
            REQUIRE_FALSE(got);
            got = std::move(answer);
        });
        CHECK_FALSE(got);  // never from within the call
        REQUIRE(reactor.run_until([&] { return got.has_value(); }));
        return *got;
    }
    MxAnswer mx(const std::string& name) {
        return ask<MxAnswer>([&](auto then) { resolver->mx(name, then); });
    }
    AddressAnswer addresses(const std::string& name, Family family) {
        return ask<AddressAnswer>([&](auto then) { resolver->addresses(name, family, then); });
    }
};

}  // namespace

TEST_CASE("MX records come with the smallest TTL of the set") {
    World world;
    const auto answer = world.mx("a.test");
    CHECK(answer.status == Status::found);
    REQUIRE(answer.records.size() == 2);
    CHECK(answer.ttl > 0s);
    CHECK(answer.ttl <= 600s);  // a server makes the TTLs of one set equal (RFC 2181 5.2)
    const bool first = answer.records[0].preference == 10;
    CHECK(answer.records[first ? 0 : 1].exchange == "mx1.test");
    CHECK(answer.records[first ? 1 : 0].preference == 20);
    CHECK(answer.records[first ? 1 : 0].exchange == "mx2.test");
    CHECK(answer.aliases.empty());
    CHECK(world.mx("A.TEST.").records.size() == 2);
}

TEST_CASE("a null MX has an empty exchange") {
    World world;
    const auto answer = world.mx("null.test");
    REQUIRE(answer.records.size() == 1);
    CHECK(answer.records[0].preference == 0);
    CHECK(answer.records[0].exchange.empty());
}

TEST_CASE("aliases are followed, named, and shorten the TTL") {
    World world;
    const auto answer = world.mx("alias1.test");
    CHECK(answer.status == Status::found);
    CHECK(answer.records.size() == 2);
    CHECK(answer.ttl == 100s);
    REQUIRE(answer.aliases.size() == 2);
    CHECK(answer.aliases[0] == "alias2.test");
    CHECK(equal_ignoring_case(answer.aliases[1], "a.test"));

    const auto host = world.addresses("host-alias.test", Family::ipv6);
    CHECK(host.addresses == Names{"2001:db8::1"});
    CHECK(host.ttl == 50s);
}

TEST_CASE("addresses come by family") {
    World world;
    auto ipv4 = world.addresses("mx1.test", Family::ipv4);
    CHECK(ipv4.status == Status::found);
    std::ranges::sort(ipv4.addresses);
    CHECK(ipv4.addresses == Names{"192.0.2.1", "192.0.2.2"});
    CHECK(ipv4.ttl > 0s);
    CHECK(world.addresses("mx1.test", Family::ipv6).addresses == Names{"2001:db8::1"});
}

TEST_CASE("a name that does not exist is told from one without such records") {
    World world;
    const auto gone = world.mx("gone.test");
    CHECK(gone.status == Status::no_such_domain);
    CHECK(gone.error == "no such domain: gone.test");
    CHECK(gone.ttl == 120s);  // the SOA's minimum: RFC 2308 5
    CHECK(world.mx("dangling.test").status == Status::no_such_domain);

    const auto plain = world.mx("plain.test");
    CHECK(plain.status == Status::no_data);
    CHECK(plain.ttl == 120s);
    CHECK_FALSE(plain.error.empty());
    CHECK(world.addresses("mx2.test", Family::ipv6).status == Status::no_data);
    CHECK(world.addresses("gone.test", Family::ipv4).status == Status::no_such_domain);
}

TEST_CASE("a name that cannot be one does not exist") {
    World world;
    CHECK(world.mx(std::string(64, 'a') + ".test").status == Status::no_such_domain);
    CHECK(world.mx("a..test").status == Status::no_such_domain);
}

TEST_CASE("an answer too large for UDP is had whole") {
    World world;
    const auto answer = world.mx("many.test");
    CHECK(answer.status == Status::found);
    CHECK(answer.records.size() == 40);
}

TEST_CASE("a burst of questions is answered without one being asked again") {
    World world({name_server().server()}, 60s);
    int answers = 0;
    for (int i = 0; i < 3000; ++i) {
        world.resolver->mx(i % 50 == 0 ? "many.test" : "a.test", [&](const MxAnswer& answer) {
            CHECK(answer.status == Status::found);
            ++answers;
        });
    }
    CHECK(world.reactor.run_until([&] { return answers == 3000; }));
    CHECK_FALSE(world.reactor.watches_anything());
}

TEST_CASE("a hundred questions are asked at once, the next one when one is answered") {
    const SilentServer server;
    World world({server.name()});
    int answers = 0;
    for (int i = 0; i < 150; ++i) world.resolver->mx("a.test", [&](const MxAnswer&) { ++answers; });
    auto questions = server.questions();
    CHECK(questions.size() == 100);
    server.answer(questions.front());
    CHECK(world.reactor.run_until([&] { return answers == 1; }));
    CHECK(server.questions().size() == 1);
}

TEST_CASE("questions that get no answer do not keep others waiting for long") {
    const SilentServer server;
    World world({server.name()}, 60s);
    int answers = 0;
    const auto count = [&](const MxAnswer&) { ++answers; };
    for (int i = 0; i < 120; ++i) world.resolver->mx("a.test", count);
    std::size_t asked = 0;
    CHECK(world.reactor.run_until([&] { return (asked += server.questions().size()) == 120; }));
    CHECK(answers == 0);
    // Their turn is over, once: there is room for 80.
    for (int i = 0; i < 100; ++i) world.resolver->mx("a.test", count);
    CHECK(server.questions().size() == 80);
}

TEST_CASE("a server that refuses is a matter of later") {
    World world;
    const auto answer = world.mx("elsewhere.example");
    CHECK(answer.status == Status::temporary);
    CHECK(answer.error == "elsewhere.example: every name server failed, refused or is not there");
}

TEST_CASE("where no server is the answer is a matter of later") {
    World world({"127.0.0.1:" + std::to_string(free_dns_port())});
    const auto answer = world.addresses("a.test", Family::ipv4);
    CHECK(answer.status == Status::temporary);
    CHECK(answer.error.find("a.test: ") == 0);
    CHECK(answer.addresses.empty());
}

TEST_CASE("a server that is silent is asked again, then it is a matter of later") {
    const SilentServer silent;
    World world({silent.name()}, 20ms);
    const auto answer = world.mx("a.test");
    CHECK(answer.status == Status::temporary);
    CHECK_FALSE(answer.error.empty());
    CHECK(silent.questions().size() == 3);
}

TEST_CASE("the next server is asked where the first is not there") {
    World world({"127.0.0.1:" + std::to_string(free_dns_port()), name_server().server()});
    CHECK(world.mx("a.test").status == Status::found);
}

TEST_CASE("a resolver that goes answers what is under way or waits, from the loop") {
    const SilentServer silent;
    World world({silent.name()});
    int answers = 0;
    for (int i = 0; i < 150; ++i) {
        world.resolver->mx("a.test", [&](const MxAnswer& answer) {
            CHECK(answer.status == Status::temporary);
            ++answers;
        });
    }
    world.resolver->addresses("a.test", Family::ipv4, [&](const AddressAnswer& answer) {
        CHECK(answer.status == Status::temporary);
        ++answers;
    });
    world.resolver.reset();
    CHECK(answers == 0);
    CHECK_FALSE(world.reactor.watches_anything());
    CHECK(world.reactor.run_until([&] { return answers == 151; }));
}

TEST_CASE("an answer's reader may destroy the resolver") {
    World world;
    int answers = 0;
    for (int i = 0; i < 3; ++i) {
        world.resolver->mx("a.test", [&](const MxAnswer&) {
            world.resolver.reset();
            ++answers;
        });
    }
    CHECK(world.reactor.run_until([&] { return answers == 3; }));
}

TEST_CASE("servers may be written with and without a port, or be the system's") {
    PollReactor reactor;
    for (const std::string server :
         {"192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:5353", "2001:db8::53"}) {
        CAPTURE(server);
        CHECK(make_ares_resolver(reactor, {{server}, 1s}));
    }
    CHECK(make_ares_resolver(reactor, {}));
}

TEST_CASE("a server's address that cannot be read is refused by name") {
    PollReactor reactor;
    for (const std::string server : {"dns.example", "192.0.2.999"}) {
        CAPTURE(server);
        const auto made = make_ares_resolver(reactor, {{server}, 1s});
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == Error::Kind::config);
        CHECK(made.error().what.find(server) != std::string::npos);
    }
}

TEST_CASE("mail hosts are found in a real zone") {
    World world;
    std::mt19937 random(1);
    const auto find = [&](const std::string& domain) {
        return world.ask<MailHosts>(
            [&](auto then) { find_mail_hosts(*world.resolver, domain, random, then); });
    };
    const auto found = find("alias1.test");
    CHECK(found.status == MailHosts::Status::found);
    REQUIRE(found.hosts.size() == 2);
    CHECK(found.hosts[0].name == "mx1.test");
    CHECK(found.hosts[0].addresses.size() == 3);
    CHECK(found.ttl == 100s);
    CHECK(find("plain.test").implicit);
    CHECK(find("null.test").status == MailHosts::Status::null_mx);
    CHECK(find("gone.test").status == MailHosts::Status::no_such_domain);
    CHECK(find("many.test").hosts.size() == 40);
}
