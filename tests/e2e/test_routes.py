"""Where mail for a domain goes, as DNS and the configuration have it: RFC 5321 5.1, RFC 7505."""

import itertools
import socket
from collections import Counter

import pytest

from harness.mail import envelope_block, message
from harness.waiting import wait_for

SENDER = "app@local.example"


class World:
    """A mailroot and the name server that it asks; mail hosts are at `host(1)`, `host(2)`, ..., on `port`."""

    def __init__(self, new_mailroot, forwarder, loopback, port):
        self.start_dns, self.host, self.port = forwarder, loopback.host, port
        self.numbers = itertools.count()
        self.mailroot = new_mailroot(delivery={"port": port, "retry": ["1s"]}).create()

    def dns_knows(self, zone, **options):
        """`{1}` in the zone is the address of the first host."""
        self.dns = self.start_dns(zone.format(*map(self.host, range(100))), **options)
        self.mailroot.configure(dns={"servers": [self.dns.server]})
        return self.dns

    def submit(self, *recipients):
        for recipient in recipients:
            self.mailroot.submit(f"{next(self.numbers)}.eml", envelope_block(SENDER, recipient) + message())

    def drain(self, *recipients):
        """What becomes of them at the first attempt: the pass report."""
        self.submit(*recipients)
        return self.mailroot.report("pickup-drain")

    def delivers(self, recipient):
        done = self.drain(recipient)
        assert (done["delivered"], done["deferred"], done["failed"]) == (1, 0, 0), done

    def waits(self, recipient, *words):
        """It is deferred, and says so."""
        assert self.drain(recipient)["deferred"] == 1
        (entry,) = self.mailroot.report("queue-report")["messages"]
        for word in words:
            assert word in entry["reason"]

    def goes_later(self):
        assert self.mailroot.run("queue-retry", "--all").returncode == 0
        assert not self.mailroot.files("Queue")


@pytest.fixture
def world(new_mailroot, forwarder, loopback):
    return World(new_mailroot, forwarder, loopback, loopback.free_port())


@pytest.fixture
def hosts(world, scripted):
    """hosts(n, ...): these take mail."""
    return lambda *numbers: [scripted(world.host(n), world.port) for n in numbers]


# --- Mail hosts


def test_equal_preferences_are_spread(world, hosts):
    world.dns_knows(
        "a.example. MX 10 mx1.example.\na.example. MX 10 mx2.example.\nmx1.example. A {1}\nmx2.example. A {2}\n"
    )
    world.mailroot.configure(delivery={"messagesPerConnection": 1})
    both = hosts(1, 2)
    with world.mailroot.serve().smtp() as client:
        for number in range(20):
            client.sendmail(SENDER, ["ann@a.example"], message())
            wait_for(lambda: sum(len(host.taken) for host in both) > number, "it to arrive")
    assert all(host.taken for host in both)


def test_of_equal_preferences_the_one_that_is_there_takes_all(world, hosts):
    world.dns_knows(
        "a.example. MX 10 mx1.example.\na.example. MX 10 mx2.example.\nmx1.example. A {1}\nmx2.example. A {2}\n"
    )
    (second,) = hosts(2)
    for _ in range(6):
        world.delivers("ann@a.example")
    assert len(second.taken) == 6


def test_a_mail_host_may_be_an_alias(world, hosts):
    world.dns_knows("a.example. MX 10 alias.example.\nalias.example. CNAME mx1.example.\nmx1.example. A {1}\n")
    (first,) = hosts(1)
    world.delivers("ann@a.example")
    assert first.recipients() == ["ann@a.example"]


@pytest.mark.parametrize("target", ["a.example. MX 10 mx1.example.\n", "a.example. A {1}\n"])
def test_a_domain_may_be_an_alias(target, world, hosts):
    world.dns_knows("alias.example. CNAME a.example.\nmx1.example. A {1}\n" + target)
    (first,) = hosts(1)
    world.delivers("ann@alias.example")
    assert first.recipients() == ["ann@alias.example"], "the address stays what it is"


@pytest.mark.parametrize("size", ["too large", "said to be truncated"])
def test_an_answer_that_needs_tcp(size, world, hosts):
    """Forty hosts of which the last one is there."""
    many = range(1, 41) if size == "too large" else range(40, 41)
    names = {n: f"a-rather-long-name-of-mail-host-{n}.dc{n}-example.net." for n in many}
    dns = world.dns_knows(
        "".join(f"a.example. MX {n} {name}\n{name} A {{{n}}}\n" for n, name in names.items()),
    )
    dns.truncating = size != "too large"
    (last,) = hosts(40)
    world.delivers("ann@a.example")
    assert last.recipients() == ["ann@a.example"]
    assert dns.over_tcp["a.example", "MX"] == 1


def test_a_mail_host_without_an_address_is_passed_over(world, hosts):
    world.dns_knows("a.example. MX 10 none.example.\na.example. MX 20 mx2.example.\nmx2.example. A {2}\n")
    (second,) = hosts(2)
    world.delivers("ann@a.example")
    assert second.recipients() == ["ann@a.example"]


def test_a_mail_host_whose_address_is_not_to_be_had_is_passed_over(world, hosts):
    dns = world.dns_knows(
        "a.example. MX 10 mx1.example.\na.example. MX 20 mx2.example.\nmx1.example. A {1}\nmx2.example. A {2}\n"
    )
    dns.failing.add("mx1.example")
    first, second = hosts(1, 2)
    world.delivers("ann@a.example")
    assert not first.taken and second.recipients() == ["ann@a.example"]


@pytest.mark.parametrize("there", ["::1", "127"])
def test_both_families_of_addresses_are_tried(there, new_mailroot, forwarder, loopback, scripted):
    port = free_port_of_ipv6()
    world = World(new_mailroot, forwarder, loopback, port)
    world.dns_knows("a.example. MX 10 mx1.example.\nmx1.example. A {1}\nmx1.example. AAAA ::1\n")
    host = scripted("::1" if there == "::1" else world.host(1), port)
    world.delivers("ann@a.example")
    assert host.recipients() == ["ann@a.example"]


def free_port_of_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            return server.getsockname()[1]
    except OSError:
        pytest.skip("needs ::1")


def test_a_literal_of_ipv6(new_mailroot, forwarder, loopback, scripted):
    world = World(new_mailroot, forwarder, loopback, free_port_of_ipv6())
    host = scripted("::1", world.port)
    world.delivers("ann@[IPv6:::1]")
    assert len(host.taken) == 1


@pytest.mark.parametrize(
    "offers, domain", [([], "xn--bcher-kva.example"), (["SMTPUTF8", "8BITMIME"], "bücher.example")]
)
def test_an_internationalized_domain_is_asked_for_by_its_a_label(offers, domain, world, rude):
    dns = world.dns_knows("xn--bcher-kva.example. MX 10 mx1.example.\nmx1.example. A {1}\n")
    host = rude(world.host(1), world.port, offers=offers)
    world.delivers("ann@Bücher.example")
    assert dns.asked["xn--bcher-kva.example", "MX"] == 1
    (taken,) = host.taken
    assert [r.lower() for r in taken.recipients] == [f"ann@{domain}"]


# --- No way to go

NO_WAY = {
    "null MX": ("ann@null.example", "556 5.1.10"),
    "no such domain": ("ann@nowhere.example", "550 5.1.2"),
    "no address of any mail host": ("ann@none.example", "550 5.4.4"),
    "neither MX nor address": ("ann@txt.example", "550 5.4.4"),
    "no literal": ("ann@[300.0.0.1]", "550 5.1.2"),
    "we are the mail host by name": ("ann@own.example", "554 5.4.6"),
    "we are the mail host by address": ("ann@own-address.example", "554 5.4.6"),
    "our own address as a literal": ("ann@[{9}]", "554 5.4.6"),
}
ZONE = (
    "null.example. MX 0 .\n"
    "none.example. MX 10 gone.example.\n"
    "txt.example. TXT here\n"
    "own.example. MX 10 mail.local.example.\nown.example. MX 20 mx2.example.\nmail.local.example. A {3}\n"
    "own-address.example. MX 10 we.example.\nown-address.example. MX 20 mx2.example.\nwe.example. A {9}\n"
    "mx2.example. A {2}\n"
)


@pytest.mark.parametrize("recipient, code", NO_WAY.values(), ids=NO_WAY.keys())
def test_no_way_is_reported_at_once(recipient, code, world, hosts):
    world.dns_knows(ZONE)
    other, named_as_we = hosts(2, 3)
    recipient = recipient.format(*map(world.host, range(10)))
    world.submit(recipient)
    world.mailroot.serve("--listen", f"{world.host(9)}:{world.port}")
    (path,) = world.mailroot.wait_files("Drop")
    report = path.read_text()
    assert f"Final-Recipient: rfc822;{recipient}\n" in report
    assert f"Status: {code.split()[1]}\n" in report and f"Diagnostic-Code: x-mailroot;{code} " in report
    assert not other.attempts and not named_as_we.attempts


def test_we_end_the_list_of_mail_hosts(world, hosts):
    """The host before us is down; the one behind us would only send the mail back."""
    world.dns_knows(
        "a.example. MX 10 mx1.example.\na.example. MX 20 mail.local.example.\na.example. MX 30 mx3.example.\n"
        "mx1.example. A {1}\nmail.local.example. A {2}\nmx3.example. A {3}\n"
    )
    we, last = hosts(2, 3)
    world.waits("ann@a.example", "refused")
    (first,) = hosts(1)
    world.goes_later()
    assert first.recipients() == ["ann@a.example"] and not we.attempts and not last.attempts


@pytest.mark.parametrize("name", ["a.example", "mx1.example"])
@pytest.mark.parametrize("trouble", ["failing", "silent"])
def test_what_dns_does_not_know_today_waits(name, trouble, world, hosts):
    dns = world.dns_knows("a.example. MX 10 mx1.example.\nmx1.example. A {1}\n")
    getattr(dns, trouble).add(name)
    world.mailroot.configure(dns={"timeout": "100ms"})
    (first,) = hosts(1)
    world.waits("ann@a.example", "4.4.3", name)
    getattr(dns, trouble).clear()
    world.goes_later()
    assert first.recipients() == ["ann@a.example"]


# --- What is remembered of DNS


@pytest.mark.parametrize("ttl, times", [(60, "once"), (1, "again")])
def test_answers_are_kept_for_their_ttl(ttl, times, world, scripted):
    dns = world.dns_knows(f"a.example. {ttl} MX 10 mx1.example.\nmx1.example. A {{1}}\n")
    host = scripted(world.host(1), world.port, refuse={"ann@a.example": "451 4.7.1 later"})
    world.submit("ann@a.example")
    world.mailroot.serve()
    wait_for(lambda: len(host.attempts) >= 4, "three retries")
    assert (dns.asked["a.example", "MX"] == 1) == (times == "once")
    assert dns.asked["mx1.example", "A"] == 1


def test_that_there_is_nothing_is_kept_too(world, scripted):
    dns = world.dns_knows("a.example. A {1}\n", negative=60)
    host = scripted(world.host(1), world.port, refuse={"ann@a.example": "451 4.7.1 later"})
    world.mailroot.serve()
    for count in (1, 2):
        world.submit("ann@nowhere.example")
        world.mailroot.wait_files("Drop", count)
    assert dns.asked["nowhere.example", "MX"] == 1
    world.submit("ann@a.example")
    wait_for(lambda: len(host.attempts) >= 3, "two retries")
    assert dns.asked == Counter({("nowhere.example", "MX"): 1, **{("a.example", t): 1 for t in ("MX", "A", "AAAA")}})


# --- What the configuration says


def test_the_entry_of_a_domain_goes_before_that_of_all_below(world, hosts):
    world.mailroot.configure(
        domains={
            "remote": {
                "*.example": {"smartHost": f"[{world.host(1)}]"},
                "b.a.example": {"smartHost": f"[{world.host(2)}]"},
                "*.a.example": {"smartHost": f"[{world.host(3)}]"},
            }
        }
    )
    all_hosts = hosts(1, 2, 3)
    for recipient in ("x@a.example", "x@b.a.example", "x@c.a.example", "x@c.b.a.example"):
        world.delivers(recipient)
    assert [host.recipients() for host in all_hosts] == [
        ["x@a.example"], ["x@b.a.example"], ["x@c.a.example", "x@c.b.a.example"],
    ]  # fmt: skip


# --- Connections


def test_domains_with_the_same_mail_hosts_share_a_connection(world, rude):
    world.dns_knows(
        "a.example. MX 10 mx1.example.\na.example. MX 20 mx2.example.\n"
        "b.example. MX 5 other.example.\nb.example. MX 7 mx2.example.\n"
        "mx1.example. A {1}\nother.example. A {1}\nmx2.example. A {2}\n"
    )
    world.mailroot.configure(delivery={"connectionsPerDomain": 1})
    host = rude(world.host(1), world.port)
    recipients = [f"{n}@{domain}" for n in range(4) for domain in ("a.example", "b.example")]
    done = world.drain(*recipients)
    assert done["delivered"] == 8
    assert sorted(r for taken in host.taken for r in taken.recipients) == sorted(recipients)
    assert host.connections == 1
