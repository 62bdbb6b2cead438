"""SMTP intake on kept connections, beside a bare server that does no more than a message must cost."""

import contextlib
import os
import statistics

from disk import BareServer, ext4, scratch, sync
from figures import heading, ratios, row
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


def rate(start, parent, stores=True):
    """Messages a second that the server in a new folder of `parent` takes and has on the disk."""
    with scratch(parent) as folder:
        sync(folder)
        server, taken = start(folder)
        try:
            took = smtp_source(server.server, "ann@local.example", COUNT, OCTETS, *SESSIONS)
        finally:
            server.kill()
        found = count_files(taken)
        assert found == (COUNT if stores else 0), f"{found} files"
    return COUNT / took


def measure_on(disk, parent, runs):
    ours, ceiling, bare = [], [], {threads: [] for threads in THREADS}
    for _ in range(runs):
        ours.append(rate(start_ours, parent))
        for threads, rates in bare.items():
            rates.append(rate(start_bare(threads), parent))
        ceiling.append(rate(start_bare(0), parent, stores=False))
    best = max(bare, key=lambda threads: statistics.median(bare[threads]))
    heading(f"intake: {COUNT:,} messages of {OCTETS} octets on 50 kept connections, {disk}, {runs} runs, a second")
    for threads, rates in bare.items():
        stores = f"on {threads} threads" if threads > 1 else "in its loop"
        row(f"bare server that stores {stores}", rates, "best" if threads == best else "")
    row("bare server that stores nothing", ceiling)
    row("mailroot", ours)
    row("  in times of the best bare server", ratios(ours, bare[best]), "limit 0.8")


def measure(runs):
    with scratch() as folder, contextlib.ExitStack() as mounted:
        measure_on("disk of the build tree", folder, runs)
        if os.geteuid() == 0:
            measure_on("ext4 on a loop device", mounted.enter_context(ext4(folder, 1)), runs)
        else:
            print("intake on ext4 is left out: its image needs root to be mounted")
