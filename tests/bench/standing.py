"""A service that starts on a large Queue: how long until its first delivery, how much memory for each message."""

from disk import WaitingMail, bare_scan
from figures import heading, ratios, resident_octets, row, wait_quiet
from scene import serving, world_with_room

AN_HOUR = 3600


def first_delivery(made, mailroot):
    """Seconds from the start of the process."""
    made.sink.expect(1)
    with serving(mailroot) as service:
        return made.sink.wait() - service.started


def resident_at_rest(mailroot):
    with serving(mailroot) as service:
        assert service.server
        wait_quiet(service.pid)
        return resident_octets(service.pid)


def measure_standing(runs, count, octets, gibibytes, seconds):
    listed, read, first, memory = [], [], [], []
    with world_with_room(gibibytes) as (made, where):
        mailroot, empty = made.mailroot("root"), made.mailroot("empty")
        queue = mailroot.folder("Queue")
        mail = WaitingMail(queue, count, octets)
        for _ in range(runs):
            mail.lay(due=-AN_HOUR)
            listed.append(bare_scan("stat", queue)[0])
            read.append(bare_scan("read", queue)[0])
            first.append(first_delivery(made, mailroot))
            mail.lay(due=AN_HOUR)
            memory.append((resident_at_rest(mailroot) - resident_at_rest(empty)) / count)
    heading(f"standing: {count:,} messages of {octets} octets in Queue {where}, {runs} runs")
    row("readdir and stat of all, s", listed)
    row("readdir, stat and 4 KiB of all, s", read)
    row("start to first delivery, all due, s", first, f"limit {seconds}")
    row("  in times of readdir and stat", ratios(first, listed))
    row("resident memory of each, none due, octets", memory, "limit 200")


def measure(runs):
    measure_standing(runs, 100_000, 4096, gibibytes=4, seconds=1)


def measure_million(runs):
    measure_standing(runs, 1_000_000, 600, gibibytes=20, seconds=8)
