"""Mail for a thousand domains of which some are dead: how long the others wait for theirs."""

import contextlib

from disk import WaitingMail, room, scratch
from figures import heading, ratios, row
from harness.loopback import Loopback
from harness.nsd import Nsd
from hosts import BareHost, refusing, silent, zone
from scene import asking, new_mailroot, serving

DOMAINS = 1000
DEAD = range(50, DOMAINS, 100)
MESSAGES = 10_000
OCTETS = 4096
LIMIT = "limit 1.1"


def domain(number):
    return f"d{number}.example"


def address(number):
    """Of its mail host. No test process has these."""
    return f"127.255.{1 + number // 250}.{1 + number % 250}"


ALIVE = [address(number) for number in range(DOMAINS) if number not in DEAD]
TO_ALL = [f"{number}@{domain(number % DOMAINS)}" for number in range(MESSAGES)]
TO_ALIVE = [recipient for number, recipient in enumerate(TO_ALL) if number % DOMAINS not in DEAD]


def seconds_to_alive(place, dns, port, recipients, die):
    """From the start of a service that has mail for all of these in its Queue until those who live have theirs."""
    with contextlib.ExitStack() as closing:
        folder = closing.enter_context(scratch(place))
        for number in DEAD:
            closing.enter_context(die(address(number), port))
        host = closing.enter_context(contextlib.closing(BareHost(port, ALIVE)))
        # What fails by mischance comes late, and is seen in the figure; it does not keep us waiting for long.
        mailroot = new_mailroot(folder / "root", dns=asking(dns), delivery={"port": port, "retry": ["1m"]})
        WaitingMail(mailroot.folder("Queue"), len(recipients), OCTETS, recipients).lay(due=-60)
        service = closing.enter_context(serving(mailroot))
        return host.wait(len(TO_ALIVE)) - service.started


def measure(runs):
    kinds = {"without": (TO_ALIVE, refusing), "refuse": (TO_ALL, refusing), "are silent": (TO_ALL, silent)}
    took = {kind: [] for kind in kinds}
    loopback = Loopback()
    with scratch() as folder, room(folder, 2) as (place, where):
        port = loopback.free_port()
        dns = Nsd(folder / "nsd", loopback, zone({domain(n): address(n) for n in range(DOMAINS)}))
        try:
            for _ in range(runs):
                for kind, (recipients, die) in kinds.items():
                    took[kind].append(seconds_to_alive(place, dns, port, recipients, die))
        finally:
            dns.stop()
    heading(f"many: {MESSAGES:,} messages for {DOMAINS:,} domains, {where}, until the living have theirs, {runs} runs")
    row(f"without the {len(DEAD)} domains that are dead, s", took["without"])
    for kind in ("refuse", "are silent"):
        row(f"with them, where they {kind}, s", took[kind])
        row("  in times of that without", ratios(took[kind], took["without"]), LIMIT)
