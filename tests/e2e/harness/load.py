"""Load of which every message is accounted for: what was answered for, where it has to arrive, whether it is whole."""

import asyncio
import hashlib
import itertools
import os
import random
import re
import smtplib
import subprocess
import threading
import time
from collections import Counter

from .chain import DOMAIN
from .mail import envelope_block, message
from .mailroot import PROGRAM
from .scripted import Scripted
from .sink import parse_dump

# By kind of message: its sender, and its recipients by the place where each arrives.
KINDS = {
    "local": ("app@local.example", {"Drop": "ann@local.example"}),
    "remote": ("app@local.example", {"steady": "bob@example.org"}),
    "late": ("app@local.example", {"fickle": f"cid@{DOMAIN}"}),
    "mixed": ("app@local.example", {"Drop": "ann@local.example", "steady": "bob@example.org"}),
    "hopeless": ("", {"Badmail": "eve@no-mail.example"}),
}

# So many seconds lie at most between what a host takes and the end of the process that could not note it any more.
CUT_SHORT = 2

# Lines in a body: one, some, and more than fits into any buffer on the way.
SIZES = [1, 1, 1, 20, 20, 2000]


def draw_seed(name):
    """What the random moments of a loop come from; MAILROOT_SEED repeats an earlier run's."""
    seed = int(os.environ.get("MAILROOT_SEED") or random.randrange(1 << 32))
    print(f"{name}: MAILROOT_SEED={seed}")
    return seed


def digest(key, lines):
    return hashlib.sha256(f"{key} {lines}".encode()).hexdigest()


def numbered(key, count=1):
    """A message that tells which one it is and whether it is whole."""
    lines = "".join(f"{key} line {number} {'x' * 50}\r\n" for number in range(count))
    return message(subject=key, body=f"{lines}whole {digest(key, lines)}\r\n")


def key_of(content):
    """The key of a message that arrived; fails where it is not whole."""
    text = content.decode().replace("\r\n", "\n")
    header, _, body = text.partition("\n\n")
    subject = re.search(r"(?m)^Subject: (\S+)$", header)
    lines, _, told = body.rpartition("whole ")
    key = subject and subject.group(1)
    assert key and told.strip() == digest(key, lines.replace("\n", "\r\n")), f"torn: {content[:400]}"
    return key


class Ledger:
    """Draws messages, and holds the keys of those that have to arrive."""

    def __init__(self, kinds=tuple(KINDS)):
        self.kinds = kinds
        self.numbers = itertools.count()
        self.kept = []

    def draw(self, chance, by):
        """A new message: key, sender, recipients, content. `by` is how it is handed in."""
        kind = chance.choice(self.kinds)
        key = f"{kind}-{by}-{next(self.numbers)}"
        sender, recipients = KINDS[kind]
        return key, sender, list(recipients.values()), numbered(key, chance.choice(SIZES))

    def count_by(self, part):
        """How many were kept, by kind (0) or by how they were handed in (1)."""
        return Counter(key.split("-")[part] for key in self.kept)

    def lost_at(self, place, found):
        """The keys of those that are not among what was found there."""
        return {key for key in self.kept if place in KINDS[key.partition("-")[0]][1]} - set(found)


# Between FILETIME's epoch, 1601, and that of time.time().
FILETIME_EPOCH = 11644473600


def put_into_queue(mailroot, key):
    """As another process left it a minute ago: accepted, not settled, and due."""
    kind, _, number = key.split("-")
    sender, recipients = KINDS[kind]
    accepted = time.time() - 60
    filetime = int((accepted + FILETIME_EPOCH) * 10**7) + int(number)
    block = envelope_block(f"<{sender}>", *(f"<{recipient}>" for recipient in recipients.values()))
    trace = b"Received: from client.example by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n"
    path = mailroot.folder("Queue") / f"{filetime:016x}{0xC0FFEE:08x}.eml"
    path.write_bytes(block + trace + numbered(key))
    os.utime(path, (accepted, accepted))


def put_into_pickup(mailroot, key):
    sender, recipients = KINDS[key.partition("-")[0]]
    mailroot.submit(f"{key}.eml", envelope_block(f"<{sender}>", *recipients.values()) + numbered(key))


class Clients:
    """SMTP clients that note every message that was answered 250, until the service goes away or join()."""

    def __init__(self, serve, ledger, seed, count=4):
        self.ledger = ledger
        self.stopping = threading.Event()
        self.threads = [
            threading.Thread(target=self._send, args=[serve.port, random.Random(f"{seed} client {n}")])
            for n in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def _send(self, port, chance):
        try:
            with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=60) as client:
                while not self.stopping.is_set():
                    self._send_one(client, *self.ledger.draw(chance, "smtp"))
        except (smtplib.SMTPException, OSError):
            pass  # what was cut off was never answered for

    def _send_one(self, client, key, sender, recipients, content):
        try:
            refused = client.sendmail(sender, recipients, content)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
            return
        if not refused:
            self.ledger.kept.append(key)

    def join(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class Writers:
    """Programs that put files into Pickup, each in its own way, until join() or the disk fails them: that is in
    `errors` then, and what they could not end in `begun`. With `durable` they sync what they write, and note a file
    only then."""

    # Files in Pickup at which they wait for the service.
    MANY = 40

    def __init__(self, mailroot, ledger, seed, durable=False):
        self.pickup, self.drafts = mailroot.folder("Pickup"), mailroot.root / "drafts"
        self.drafts.mkdir(exist_ok=True)
        self.ledger, self.durable = ledger, durable
        self.stopping = threading.Event()
        self.begun = set()
        self.errors = []
        ways = [self._slowly, self._at_once, self._renamed]
        self.threads = [
            threading.Thread(target=self._write, args=[way, random.Random(f"{seed} {way.__name__}")]) for way in ways
        ]
        for thread in self.threads:
            thread.start()

    def _write(self, way, chance):
        try:
            while not self.stopping.wait(0.01):
                if len(os.listdir(self.pickup)) >= self.MANY:
                    continue
                key, sender, recipients, content = self.ledger.draw(chance, way.__name__.strip("_"))
                self.begun.add(key)
                way(f"{key}.eml", envelope_block(f"<{sender}>", *recipients) + content)
                self.ledger.kept.append(key)
                self.begun.remove(key)
        except OSError as error:
            self.errors.append(error)

    def _slowly(self, name, content):
        third = len(content) // 3
        self._fill(self.pickup / name, [content[:third], content[third : 2 * third], content[2 * third :]], 0.03)
        self._sync(self.pickup)

    def _at_once(self, name, content):
        self._fill(self.pickup / name, [content])
        self._sync(self.pickup)

    def _renamed(self, name, content):
        self._fill(self.drafts / name, [content])
        os.rename(self.drafts / name, self.pickup / name)
        self._sync(self.pickup)

    def _fill(self, path, pieces, pause=0):
        with open(path, "xb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
                time.sleep(pause)
            if self.durable:
                os.fsync(file.fileno())

    def _sync(self, folder):
        if self.durable:
            fd = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(fd)
                os.stat(fd)  # an XFS that is cut off tells of it only here
            finally:
                os.close(fd)

    def join(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class Again:
    """One command, run again and again until join(). What it said on stderr last is in `said`, by exit code."""

    def __init__(self, mailroot, *arguments):
        self.command = [PROGRAM, "--root", mailroot.root, *arguments]
        self.said = {}
        self.stopping = threading.Event()
        self.process = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopping.wait(0.05):
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
            )
            said = self.process.communicate()[1]
            self.said[self.process.returncode] = said

    def kill(self):
        """Kills the run that is under way, if one is."""
        if self.process:
            self.process.kill()

    def join(self):
        self.stopping.set()
        self.thread.join()


class Fickle(Scripted):
    """Puts mail off with 451 where it is told so, and takes each message after `pause` seconds; notes when that was."""

    def __init__(self, address, port):
        self.times, self.pause = [], 0
        super().__init__(address, port)

    def set_willing(self, willing):
        self.on_mail = None if willing else "451 4.3.2 not now"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(self.pause)
        self.times.append(time.time())
        return await super().handle_DATA(server, session, envelope)


class World:
    """The hosts that take the mail of every kind: `steady` all of it, `fickle` when it is willing."""

    def __init__(self, remote, sink):
        self.steady = sink(remote.first, remote.port)
        self.fickle = Fickle(remote.second, remote.port)

    def arrived(self, place):
        """When each copy of each message arrived, by key. Fails where one is not whole."""
        times = {}
        if place == "steady":
            files = self.steady.folder.iterdir()
            copies = ((parse_dump(path.read_bytes()).content, path.stat().st_mtime) for path in files)
        else:
            copies = zip((taken.content for taken in self.fickle.taken), self.fickle.times)
        for content, moment in copies:
            times.setdefault(key_of(content), []).append(moment)
        return times

    def doubled(self, place):
        """When each copy was taken that another one followed."""
        return [moment for times in self.arrived(place).values() for moment in sorted(times)[:-1]]

    def close(self):
        self.fickle.leave()


def shown(mailroot, place):
    """How many files of Drop or Badmail hold each message, by key. Fails where one is not whole."""
    pattern = {"Drop": "*.eml", "Badmail": "*.bad"}[place]
    return Counter(key_of(path.read_bytes()) for path in mailroot.files(place, pattern))


# What is left of a message until all of it is done. A history may stand alone in Queue: the sweep takes it later.
UNSETTLED = ["Pickup/[!.]*", "Queue/*.eml", "Queue/*.pickup", "Drop/.*.ready", "Badmail/.*.ready"]


def wait_settled(mailroot, seconds=60):
    """Nothing left to take, to send, or to show."""
    deadline = time.monotonic() + seconds
    while left := [path for pattern in UNSETTLED for path in mailroot.root.glob(pattern)]:
        assert time.monotonic() < deadline, f"not settled in {seconds} s: {left[:9]}"
        time.sleep(0.05)


def unexplained(moments, ends, connections):
    """Of the moments at which a host took a copy that was not the last one: those that no end of a process accounts
    for. Each end accounts for one copy on every connection that it cut, and those it had just taken. `ends` may name
    a moment twice, where two processes ended."""
    room = [[end, connections] for end in sorted(ends)]
    left = []
    for moment in sorted(moments):
        end = next((one for one in room if one[1] and abs(one[0] - moment) < CUT_SHORT), None)
        if end:
            end[1] -= 1
        else:
            left.append(moment)
    return left
