"""Figures as they are printed, and what the system says of a process."""

import statistics
import time

QUIET_SECONDS = 0.5
QUIET_CPU_SECONDS = 0.001


def heading(text):
    print(f"\n{text}\n{'':50}{'median':>10}{'least':>10}{'most':>10}", flush=True)


def row(name, figures, note=""):
    """One line: the median, least and most of some runs."""
    shown = [statistics.median(figures), min(figures), max(figures)]
    print(f"{name:50}" + "".join(f"{readable(figure):>10}" for figure in shown) + f"  {note}".rstrip(), flush=True)


def ratios(ours, theirs):
    """Run by run: what was measured side by side is compared."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def readable(figure):
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def cpu_seconds(pid):
    """Of all its threads, those that ended too."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3): /proc/PID/stat counts in 10 ms


def resident_octets(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


def wait_quiet(pid):
    """Until the process has done all there was to do."""
    before = cpu_seconds(pid)
    while True:
        time.sleep(QUIET_SECONDS)
        now = cpu_seconds(pid)
        if now - before < QUIET_CPU_SECONDS:
            return
        before = now
