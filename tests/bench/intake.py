"""SMTP intake on kept connections, beside a bare server that does no more than a message must cost."""

import contextlib
import os
import statistics

from disk import BareServer, ext4, scratch, sync
from figures import cpu_seconds, heading, ratios, row
from scene import Service, count_files, new_mailroot, smtp_source

COUNT = 5000
OCTETS = 4096
SESSIONS = ("-d", "-s", "50")
THREADS = (1, 32, 50)


def start_ours(folder):
    mailroot = new_mailroot(folder / "root")
    return Service(mailroot), mailroot.folder("Drop")


def start_bare(threads):
    def start(folder):
        return BareServer(folder, threads), folder

    return start


def take(start, parent, stores=True):
    """Messages a second that the server in a new folder of `parent` takes and has on the disk, and milliseconds of
    processor time for each."""
    with scratch(parent) as folder:
        sync(folder)
        server, taken = start(folder)
        try:
            address, before = server.server, cpu_seconds(server.pid)
            took = smtp_source(address, "ann@local.example", COUNT, OCTETS, *SESSIONS)
            used = cpu_seconds(server.pid) - before
        finally:
            server.kill()
        found = count_files(taken)
        assert found == (COUNT if stores else 0), f"{found} files"
    return COUNT / took, used / COUNT * 1000


def measure_on(disk, parent, runs):
    ours, ceiling, bare = [], [], {threads: [] for threads in THREADS}
    for _ in range(runs):
        ours.append(take(start_ours, parent))
        for threads, figures in bare.items():
            figures.append(take(start_bare(threads), parent))
        ceiling.append(take(start_bare(0), parent, stores=False))
    rates = {threads: [rate for rate, _ in figures] for threads, figures in bare.items()}
    best = max(rates, key=lambda threads: statistics.median(rates[threads]))
    heading(f"intake: {COUNT:,} messages of {OCTETS} octets on 50 kept connections, {disk}, {runs} runs, a second")
    for threads, found in rates.items():
        stores = f"on {threads} threads" if threads > 1 else "in its loop"
        row(f"bare server that stores {stores}", found, "best" if threads == best else "")
    row("bare server that stores nothing", [rate for rate, _ in ceiling])
    row("mailroot", [rate for rate, _ in ours])
    row("  in times of the best bare server", ratios([rate for rate, _ in ours], rates[best]), "limit 0.8")
    row("best bare server, ms of processor time each", [used for _, used in bare[best]])
    row("mailroot, ms of processor time each", [used for _, used in ours])


def measure(runs):
    with scratch() as folder, contextlib.ExitStack() as mounted:
        measure_on("disk of the build tree", folder, runs)
        if os.geteuid() == 0:
            measure_on("ext4 on a loop device", mounted.enter_context(ext4(folder, 1)), runs)
        else:
            print("\nintake on ext4 is left out: its image needs root to be mounted")
