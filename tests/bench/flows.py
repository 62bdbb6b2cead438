"""Messages per second on the three ways through: the median of some runs, least and most."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "e2e"))

from harness.loopback import Loopback  # noqa: E402
from harness.mail import envelope_block, message  # noqa: E402
from harness.mailroot import Mailroot  # noqa: E402
from harness.nsd import Nsd  # noqa: E402
from harness.sink import SmtpSink  # noqa: E402
from harness.waiting import wait_for  # noqa: E402

COUNT = 1000
OCTETS = 4096
SESSIONS = 20


class Scene:
    """A mailroot on the disk of the build tree, and an smtp-sink as the mail host of example.net."""

    def __init__(self, folder):
        loopback = Loopback()
        port = loopback.free_port()
        zone = f"example.net. MX 10 mx.example.net.\nmx.example.net. A {loopback.host(11)}\n"
        self.dns = Nsd(folder / "nsd", loopback, zone)
        self.sink = SmtpSink(folder / "sink", loopback.host(11), port, dump=False)
        settings = {"dns": {"servers": [self.dns.server]}, "delivery": {"port": port}}
        self.mailroot = Mailroot(folder / "root", settings)
        self.serve = self.mailroot.serve()

    def wait_gone(self):
        def empty(name):
            with os.scandir(self.mailroot.folder(name)) as entries:
                return not any(not entry.name.startswith(".") for entry in entries)

        wait_for(lambda: empty("Pickup") and empty("Queue"), "all to be sent", 600)

    def close(self):
        self.serve.kill()
        self.sink.stop()
        self.dns.stop()


def smtp_source(scene, recipient):
    subprocess.run(
        ["smtp-source", "-s", str(SESSIONS), "-m", str(COUNT), "-l", str(OCTETS),
         "-f", "app@local.example", "-t", recipient, f"inet:{scene.serve.server}"],
        check=True,
    )  # fmt: skip


def smtp_to_drop(scene):
    started = time.monotonic()
    smtp_source(scene, "ann@local.example")
    took = time.monotonic() - started
    found = len(scene.mailroot.files("Drop"))
    assert found == COUNT, f"{found} in Drop"
    return took


def smtp_to_sink(scene):
    started = time.monotonic()
    smtp_source(scene, "ann@example.net")
    scene.wait_gone()
    return time.monotonic() - started


def pickup_to_sink(scene):
    written = scene.mailroot.root / "written"
    written.mkdir()
    content = envelope_block("app@local.example", "ann@example.net") + message(body=("x" * 78 + "\r\n") * (OCTETS // 80))
    for number in range(COUNT):
        (written / f"{number}.eml").write_bytes(content)
    started = time.monotonic()
    for path in written.iterdir():
        path.rename(scene.mailroot.folder("Pickup") / path.name)
    scene.wait_gone()
    return time.monotonic() - started


def disk_commits(folder):
    """What one writer gets here: create, write, fsync, rename, fsync the folder."""
    place = folder / "commits"
    place.mkdir()
    directory = os.open(place, os.O_RDONLY)
    count, content = 200, b"x" * OCTETS
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
    return took * COUNT / count


FLOWS = {
    "disk, one writer": disk_commits,
    "SMTP -> Drop": smtp_to_drop,
    "Pickup -> smtp-sink": pickup_to_sink,
    "SMTP -> smtp-sink": smtp_to_sink,
}


def measure(flow, parent):
    with tempfile.TemporaryDirectory(dir=parent, prefix="bench-") as name:
        folder = pathlib.Path(name)
        if flow is disk_commits:
            return flow(folder)
        scene = Scene(folder)
        try:
            return flow(scene)
        finally:
            scene.close()


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    parent = pathlib.Path(os.environ["MAILROOT_PROGRAM"]).parent
    rates = {name: [] for name in FLOWS}
    sys.stdout, result = sys.stderr, sys.stdout  # what serve says is no result
    for _ in range(runs):
        for name, flow in FLOWS.items():
            rates[name].append(COUNT / measure(flow, parent))
    disk = statistics.median(rates["disk, one writer"])
    print(f"{COUNT} messages of {OCTETS} octets, {runs} runs, per second:", file=result)
    print(f"{'':22}{'median':>8}{'min':>8}{'max':>8}{'of disk':>9}", file=result)
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{name:22}{median:8.0f}{min(found):8.0f}{max(found):8.0f}{median / disk:9.2f}", file=result)


main()
