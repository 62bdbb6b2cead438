"""Messages per second on the three ways through, beside the disk's own."""

import os
import statistics
import time

from disk import scratch
from figures import heading, row
from harness.mail import envelope_block, message
from harness.waiting import wait_for
from scene import count_files, serving, smtp_source, world, write_pickup_files

COUNT = 1000
OCTETS = 4096
SESSIONS = ("-s", "20")
PICKUP_FILE = envelope_block("app@local.example", "ann@example.net") + message(
    body=("x" * 78 + "\r\n") * (OCTETS // 80)
)


def wait_gone(mailroot):
    wait_for(
        lambda: count_files(mailroot.folder("Pickup")) + count_files(mailroot.folder("Queue")) == 0,
        "all to be sent",
        600,
    )


def smtp_to_drop(mailroot, service):
    took = smtp_source(service.server, "ann@local.example", COUNT, OCTETS, *SESSIONS)
    found = count_files(mailroot.folder("Drop"))
    assert found == COUNT, f"{found} in Drop"
    return took


def smtp_to_sink(mailroot, service):
    started = time.monotonic()
    smtp_source(service.server, "ann@example.net", COUNT, OCTETS, *SESSIONS)
    wait_gone(mailroot)
    return time.monotonic() - started


def pickup_to_sink(mailroot, service):
    assert service.server
    move_in = write_pickup_files(mailroot, PICKUP_FILE, COUNT)
    started = time.monotonic()
    move_in()
    wait_gone(mailroot)
    return time.monotonic() - started


def disk_commits():
    """What one writer gets here: create, write, fsync, rename, fsync the folder."""
    count, content = 200, b"x" * OCTETS
    with scratch() as place:
        directory = os.open(place, os.O_RDONLY)
        started = time.monotonic()
        for number in range(count):
            file = os.open(place / "draft", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(file, content)
            os.fsync(file)
            os.close(file)
            os.rename(place / "draft", place / str(number))
            os.fsync(directory)
        took = time.monotonic() - started
        os.close(directory)
    return count / took


def through(flow):
    with world() as made:
        mailroot = made.mailroot("root")
        with serving(mailroot) as service:
            return COUNT / flow(mailroot, service)


FLOWS = {
    "SMTP -> Drop": smtp_to_drop,
    "Pickup -> smtp-sink": pickup_to_sink,
    "SMTP -> smtp-sink": smtp_to_sink,
}


def measure(runs):
    disk, rates = [], {name: [] for name in FLOWS}
    for _ in range(runs):
        disk.append(disk_commits())
        for name, flow in FLOWS.items():
            rates[name].append(through(flow))
    heading(f"flows: {COUNT:,} messages of {OCTETS} octets a second, {runs} runs")
    row("disk, one writer", disk)
    for name, found in rates.items():
        row(name, found, f"{statistics.median(found) / statistics.median(disk):.2f} of the disk's")
