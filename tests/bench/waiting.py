"""What one delivery costs while few and while many other messages wait."""

import statistics
import time

from disk import WaitingMail
from figures import cpu_seconds, heading, row, wait_quiet
from flows import PICKUP_FILE, SESSIONS
from scene import count_files, serving, smtp_source, world_with_room, write_pickup_files

COUNT = 1000
OCTETS = 4096
FEW, MANY = 1_000, 200_000
WAITING_OCTETS = 600


def by_smtp(mailroot, service):
    server = service.server
    return lambda: smtp_source(server, "ann@example.net", COUNT, OCTETS, *SESSIONS)


def by_pickup(mailroot, service):
    assert service.server
    return write_pickup_files(mailroot, PICKUP_FILE, COUNT)


WAYS = {"SMTP": by_smtp, "Pickup": by_pickup}


def deliver(made, mailroot, service, way):
    """Messages a second, and milliseconds of processor time for each."""
    send = way(mailroot, service)
    wait_quiet(service.pid)
    cpu_before = cpu_seconds(service.pid)
    made.sink.expect(COUNT)
    started = time.monotonic()
    send()
    took = made.sink.wait() - started
    wait_quiet(service.pid)
    return COUNT / took, (cpu_seconds(service.pid) - cpu_before) / COUNT * 1000


def deliver_both_ways(made, mailroot, waiting, figures):
    with serving(mailroot) as service:
        for name, way in WAYS.items():
            figures[name, waiting].append(deliver(made, mailroot, service, way))
    found = count_files(mailroot.folder("Queue"))
    assert found == waiting, f"{found} in Queue, not {waiting}"


def compare(name, few, many):
    more = 100 * (statistics.median(many) / statistics.median(few) - 1)
    row(f"{name}, {FEW:,} waiting", few)
    row(f"{name}, {MANY:,} waiting", many, f"{more:+.1f} %, limit 15 %")


def measure(runs):
    figures = {(name, waiting): [] for name in WAYS for waiting in (FEW, MANY)}
    with world_with_room(4) as (made, where):
        mailroots = {waiting: made.mailroot(f"root{waiting}") for waiting in (FEW, MANY)}
        for waiting, mailroot in mailroots.items():
            WaitingMail(mailroot.folder("Queue"), waiting, WAITING_OCTETS).lay(due=24 * 3600)
        for _ in range(runs):
            for waiting, mailroot in mailroots.items():
                deliver_both_ways(made, mailroot, waiting, figures)
    heading(f"waiting: {COUNT:,} deliveries of {OCTETS} octets to smtp-sink while others wait, {where}, {runs} runs")
    for name in WAYS:
        for index, what in enumerate(("a second", "ms of processor time each")):
            few, many = ([figure[index] for figure in figures[name, waiting]] for waiting in (FEW, MANY))
            compare(f"{name}, {what}", few, many)
