"""A service at rest: what 100,000 waiting messages cost of which none is due."""

import time

from disk import WaitingMail, bare_scan
from figures import cpu_seconds, heading, resident_octets, row, wait_quiet
from scene import serving, world_with_room
from standing import resident_at_rest

COUNT = 100_000
OCTETS = 600
SECONDS = 65  # two rescans


def at_rest(mailroot):
    """The share of one core in percent, and the resident memory at the end of it."""
    with serving(mailroot) as service:
        assert service.server
        wait_quiet(service.pid)
        before = cpu_seconds(service.pid)
        time.sleep(SECONDS)
        return 100 * (cpu_seconds(service.pid) - before) / SECONDS, resident_octets(service.pid)


def measure(runs):
    bare, share, memory = [], [], []
    with world_with_room(4) as (made, where):
        mailroot, empty = made.mailroot("root"), made.mailroot("empty")
        mail = WaitingMail(mailroot.folder("Queue"), COUNT, OCTETS)
        for _ in range(runs):
            mail.lay(due=3600)
            bare.append(100 * 2 * bare_scan("stat", mail.queue)[1] / SECONDS)
            used, resident = at_rest(mailroot)
            share.append(used)
            memory.append((resident - resident_at_rest(empty)) / COUNT)
    heading(f"idle: {COUNT:,} messages waiting {where}, none due, over {SECONDS} s, {runs} runs")
    row("readdir and stat of all, twice, % of a core", bare)
    row("serve, % of a core", share, "limit 1")
    row("resident memory of each after two rescans, octets", memory, "limit 200")
