"""One destination that is dead, and very much mail for it: what that costs, and what mail for others notices."""

import contextlib
import itertools
import os
import smtplib
import time
from dataclasses import dataclass

from disk import WaitingMail, room, scratch
from figures import cpu_seconds, heading, row
from harness.loopback import Loopback
from harness.mail import envelope_block, message
from harness.nsd import Nsd
from hosts import BareHost, Probes, refusing, silent, zone
from scene import asking, new_mailroot, serving

COUNT = 50_000
OCTETS = 600
INTERVAL = 60  # of delivery.retry, which is stretched or shortened by up to a tenth
MINUTES = 4
EVERY = 0.5
LONGEST = 60  # for which mail for others is waited for in the end


class Trickle:
    """Mail for a host that lives: a message every half second, by SMTP and through Pickup in turn."""

    WAYS = ("SMTP", "Pickup")

    def __init__(self, mailroot, server, host):
        self.mailroot, self.server, self.host = mailroot, server, host
        self.sent = {}  # when that was to be, by recipient
        self.next, self.numbers = time.monotonic(), itertools.count()

    def flow(self, until):
        while self.next < until:
            time.sleep(max(0, self.next - time.monotonic()))
            self._send(next(self.numbers))
            self.next += EVERY
        time.sleep(max(0, until - time.monotonic()))

    def _send(self, number):
        recipient = f"{number}@alive.example"
        self.sent[recipient] = self.next
        if self._way(number) == "Pickup":
            block = envelope_block("app@local.example", recipient)
            self.mailroot.submit(f"{number}.eml", block + message())
            return
        host, port = self.server.split(":")
        with smtplib.SMTP(host, int(port), local_hostname="client.example", timeout=600) as client:
            client.sendmail("app@local.example", [recipient], message())

    def _way(self, number):
        return self.WAYS[number % len(self.WAYS)]

    def delays(self, start, end):
        """By way, of what was sent then: seconds until the host had it, or until now."""
        now, found = time.monotonic(), {way: [] for way in self.WAYS}
        for number, (recipient, sent) in enumerate(self.sent.items()):
            if start <= sent < end:
                found[self._way(number)].append(self.host.taken.get(recipient, now) - sent)
        return found

    def finish(self):
        """Late is not lost."""
        with self.host.changed:
            self.host.changed.wait_for(lambda: self.sent.keys() <= self.host.taken.keys(), LONGEST)


@dataclass
class Minute:
    """What was seen in one."""

    used: float  # seconds of processor time
    probes: list  # when
    delays: dict  # of other mail, by its way


def watch(mailroot, host, dead_address, minutes):
    """The minutes of a service, from its start."""
    with contextlib.closing(Probes(dead_address)) as probes, serving(mailroot) as service:
        trickle = Trickle(mailroot, service.server, host)
        bounds, used = [service.started + 60 * number for number in range(minutes + 1)], [0.0]
        for end in bounds[1:]:
            trickle.flow(end)
            used.append(cpu_seconds(service.pid))
        trickle.finish()
        return [
            Minute(after - before, probes.between(start, end), trickle.delays(start, end))
            for (before, after), (start, end) in zip(itertools.pairwise(used), itertools.pairwise(bounds), strict=True)
        ]


def show(when, minutes, probes_limit="", used_limit=""):
    row(f"{when}: processor time, s", [minute.used for minute in minutes], used_limit)
    row("  connections begun to the dead host", [len(minute.probes) for minute in minutes], probes_limit)
    for way in Trickle.WAYS:
        delays = [delay for minute in minutes for delay in minute.delays[way]]
        row(f"  delay of other mail by {way}, s", delays, "limit 1 for the most")


def show_gaps(runs):
    """Between the probes of the minutes after the first."""
    gaps = []
    for minutes in runs:
        times = sorted(when for minute in minutes[1:] for when in minute.probes)
        gaps += [after - before for before, after in itertools.pairwise(times)]
    if gaps:
        row("  from one of them to the next, s", gaps, f"limit {INTERVAL * 0.9:.0f} for the least")


def measure_dead(runs, what, die):
    if os.geteuid() != 0:
        print("\ndead is left out: the count of connections to a dead host needs root")
        return
    loopback = Loopback()
    dead, alive, port = loopback.host(12), loopback.host(11), loopback.free_port()
    without, found = [], []
    with contextlib.ExitStack() as closing:
        folder = closing.enter_context(scratch())
        place, where = closing.enter_context(room(folder, 4))
        closing.enter_context(die(dead, port))
        dns = Nsd(folder / "nsd", loopback, zone({"dead.example": dead, "alive.example": alive}))
        closing.callback(dns.stop)
        for _ in range(runs):
            for count, minutes, seen in ((0, 1, without), (COUNT, MINUTES, found)):
                with scratch(place) as root, contextlib.closing(BareHost(port, [alive])) as host:
                    mailroot = new_mailroot(
                        root / "root",
                        dns=asking(dns),
                        delivery={"port": port, "retry": [f"{INTERVAL}s"]},
                    )
                    WaitingMail(mailroot.folder("Queue"), count, OCTETS, ["ann@dead.example"]).lay(due=-60)
                    seen.append(watch(mailroot, host, dead, minutes))
    heading(f"dead: {COUNT:,} messages for a host that {what}, tried again after {INTERVAL} s, {where}, {runs} runs")
    show("a minute without them", [minutes[0] for minutes in without])
    show("the first minute", [minutes[0] for minutes in found])
    show("each minute after it", [m for minutes in found for m in minutes[1:]], "limit 1", "limit 1")
    show_gaps(found)


def measure(runs):
    measure_dead(runs, "refuses", refusing)


def measure_silent(runs):
    measure_dead(runs, "never answers", silent)
