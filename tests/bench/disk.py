"""What the figures are measured on and against: folders, file systems, and the programs that do the least."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

BUILD = pathlib.Path(__file__).resolve().parents[2] / "build"
BARE_SCAN = BUILD / "bench/bench_bare_scan"
BARE_SERVER = BUILD / "bench/bench_bare_server"

FILETIME_OF_1970 = 11_644_473_600


@contextlib.contextmanager
def scratch(parent=BUILD):
    """A folder on the disk of the build tree, or in `parent`, that goes when the work is done."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="bench-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@contextlib.contextmanager
def ext4(folder, gibibytes):
    """A file system as mkfs.ext4 makes it, but for what it would initialize while we measure."""
    image, place = folder / "ext4.image", folder / "ext4"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(gibibytes << 30)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield place
    finally:
        with undisturbed():
            # Lazy: what an interruption left open must not keep it.
            subprocess.run(["umount", "--lazy", place], check=True)


@contextlib.contextmanager
def undisturbed():
    """Who asks us to end has to wait so long."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def room(folder, gibibytes):
    """Where a hundred thousand files and more lie, and what to call it. As root that is an image: away with it all
    at once, while a disk mounted with `discard` may take a millisecond for each."""
    if os.geteuid() == 0:
        with ext4(folder, gibibytes) as place:
            yield place, "on an ext4 image"
    else:
        yield folder, "on the disk of the build tree"


def sync(folder):
    """What was written before is on the disk: it takes no part in what is measured next."""
    subprocess.run(["sync", "-f", folder], check=True)


def bare_scan(how, folder):
    """Seconds, and seconds of processor time."""
    done = subprocess.run([BARE_SCAN, how, folder], check=True, text=True, stdout=subprocess.PIPE)
    return [float(word) for word in done.stdout.split()]


class BareServer:
    def __init__(self, folder, threads):
        self.process = subprocess.Popen([BARE_SERVER, folder, str(threads)], text=True, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.server = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class WaitingMail:
    """`count` messages in a Queue, `octets` long each, for these recipients in turn."""

    def __init__(self, queue, count, octets, recipients=("ann@example.net",)):
        self.queue, self.count, self.octets, self.recipients = queue, count, octets, recipients
        self.rest = (
            "Received: from app.example by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n"
            "From: app@local.example\r\nTo: ann@example.net\r\nSubject: waiting\r\n"
            "Date: Tue, 24 Nov 2026 01:48:12 +0000\r\nMessage-ID: <1@app.example>\r\n\r\n"
        ) + ("x" * 78 + "\r\n") * (octets // 80)
        self.arrived = (int(time.time()) - 3600 + FILETIME_OF_1970) * 10_000_000

    def lay(self, due):
        """All are there, also those that were sent, and due in so many seconds."""
        times = (time.time() + due,) * 2
        queue = os.open(self.queue, os.O_RDONLY)
        try:
            for number in range(self.count):
                self._lay_one(queue, number, times)
        finally:
            os.close(queue)
        sync(self.queue)

    def _lay_one(self, queue, number, times):
        name = f"{self.arrived + number:016x}00000000.eml"
        try:
            os.utime(name, times, dir_fd=queue)
        except FileNotFoundError:
            file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=queue)
            os.write(file, self._content(self.recipients[number % len(self.recipients)]))
            os.utime(file, times)
            os.close(file)

    def _content(self, recipient):
        block = f"x-sender: <app@local.example>\r\nx-receiver: <{recipient}>\r\n"
        return (block + self.rest).encode()[: self.octets - 2] + b"\r\n"
