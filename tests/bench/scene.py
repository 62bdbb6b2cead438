"""The program under measurement, and the world that it sends to."""

import contextlib
import os
import re
import subprocess
import threading
import time

from disk import room, scratch
from harness.loopback import Loopback, wait_until_open
from harness.mailroot import PROGRAM, Mailroot
from harness.nsd import Nsd
from harness.waiting import wait_for


class Service:
    """`mailroot serve`. What it says goes to a file: who reads along takes a share of the processors."""

    def __init__(self, mailroot):
        self.said = mailroot.root / "serve.log"
        self.started = time.monotonic()
        with self.said.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--root", mailroot.root, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.pid = self.process.pid

    @property
    def server(self):
        return wait_for(self._listening, "serve to be ready")

    def _listening(self):
        said = self.said.read_text(errors="replace")
        assert self.process.poll() is None, f"serve ended with {self.process.returncode}:\n{said}"
        return "mailroot: ready" in said and re.search(r"listening on (127\.0\.0\.1:\d+)", said).group(1)

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(mailroot):
    service = Service(mailroot)
    try:
        yield service
    finally:
        service.kill()


class CountingSink:
    """An smtp-sink that tells of every message at once."""

    def __init__(self, address, port):
        privileges = ["-u", "root"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            ["/usr/sbin/smtp-sink", "-c", *privileges, f"{address}:{port}", "1024"], stdout=subprocess.PIPE
        )
        self.taken, self.wanted, self.reached_at = 0, 0, None
        self.reached = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        wait_until_open(address, port, self.process, "smtp-sink")

    def _read(self):
        octets = b""
        while more := os.read(self.process.stdout.fileno(), 1 << 16):
            octets = octets[-64:] + more
            counted = re.findall(rb"mesg=(\d+)\s", octets)
            self.taken = int(counted[-1]) if counted else self.taken
            if not self.reached.is_set() and self.taken >= self.wanted:
                self.reached_at = time.monotonic()
                self.reached.set()

    def expect(self, more):
        """Before they are sent: so many more than it has now."""
        self.wanted = self.taken + more
        self.reached.clear()

    def wait(self, seconds=600):
        """The time at which it had all that were expected."""
        assert self.reached.wait(seconds), f"smtp-sink has {self.taken} of {self.wanted}"
        return self.reached_at

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


class World:
    """A name server that knows example.net, and an smtp-sink that is its mail host. Roots are made in `place`."""

    def __init__(self, folder, place):
        self.place = place
        loopback = Loopback()
        self.port = loopback.free_port()
        zone = f"example.net. MX 10 mx.example.net.\nmx.example.net. A {loopback.host(11)}\n"
        self.dns = Nsd(folder / "nsd", loopback, zone)
        self.sink = CountingSink(loopback.host(11), self.port)

    def mailroot(self, name):
        """One that sends there, with the intervals that a service has."""
        return new_mailroot(self.place / name, dns=asking(self.dns), delivery={"port": self.port})

    def close(self):
        self.sink.stop()
        self.dns.stop()


@contextlib.contextmanager
def world():
    """On the disk of the build tree."""
    with scratch() as folder, contextlib.closing(World(folder, folder)) as made:
        yield made


@contextlib.contextmanager
def world_with_room(gibibytes):
    """The same with room for many files, and a word for where that is."""
    with scratch() as folder, room(folder, gibibytes) as (place, where):
        with contextlib.closing(World(folder, place)) as made:
            yield made, where


def asking(dns):
    """Settings: as long as a service waits for an answer, not as the tests do."""
    return {"servers": [dns.server], "timeout": "5s"}


def new_mailroot(root, **settings):
    usual = {"listen": ["127.0.0.1:0"], "pickup": {"rescan": "30s", "settle": "2s"}}
    return Mailroot(root, usual | settings).create()


def count_files(folder):
    """Without a list of them: there may be a million."""
    with os.scandir(folder) as entries:
        return sum(not entry.name.startswith(".") for entry in entries)


def smtp_source(server, recipient, count, octets, *options):
    """Seconds that it took to send them all."""
    started = time.monotonic()
    subprocess.run(
        ["smtp-source", *options, "-m", str(count), "-l", str(octets),
         "-f", "app@local.example", "-t", recipient, f"inet:{server}"],
        check=True,
    )  # fmt: skip
    return time.monotonic() - started


def write_pickup_files(mailroot, content, count):
    """`count` files beside Pickup; the call that is returned moves them in."""
    written = mailroot.root / "written"
    written.mkdir(exist_ok=True)
    for number in range(count):
        (written / f"{number}.eml").write_bytes(content)

    def move_in():
        for path in list(written.iterdir()):
            path.rename(mailroot.folder("Pickup") / path.name)

    return move_in
