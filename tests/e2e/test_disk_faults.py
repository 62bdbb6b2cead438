"""The real program on a disk that fails, once or for a while, at each step in turn: what was answered for arrives."""

import concurrent.futures
import dataclasses
import errno
import itertools
import os
import random
import re
import subprocess
import shutil
import smtplib
import sys
import time
from collections import Counter

import pytest

from harness.disk import Disk, works
from harness.length import length
from harness.mail import envelope_block, message, split_block, without_trace
from harness.mailroot import Mailroot
from harness.scripted import Scripted
from harness.strace import Strace
from harness.waiting import wait_for

SIDE_BY_SIDE = 6
BODY = "".join(f"line {n} of the text\r\n" for n in range(200))
RUBBISH = b"nothing that could be mail\r\n"

# The steps that record a delivery: where one fails, the message may go out once more.
RECORD = re.compile(r"(unlinkat|pwrite64|fdatasync)\b.*Queue\b.*\.(eml|pickup)")


class Host(Scripted):
    """Takes mail for `remote...`, puts `later...` off once, and refuses `never...`."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never"):
            return "550 5.1.1 no such user here"
        if address.startswith("later") and address not in self.attempts:
            self.attempts.append(address)
            return "451 4.7.1 come back later"
        return await super().handle_RCPT(server, session, envelope, address, options)


@dataclasses.dataclass
class Sent:
    """One message, and whether the service is to answer for it."""

    name: str
    sender: str
    recipients: list
    octets: bytes
    accepted: bool


class Scenario:
    """Each kind of message over SMTP and over Pickup, in a mailroot of its own."""

    def __init__(self, root, settings, host):
        self.host = host
        self.number = root.name
        self.mailroot = Mailroot(root, settings)
        self.sent, self.rubbish = [], 0

    def close(self):
        self.mailroot.close()
        shutil.rmtree(self.mailroot.root)

    def play(self, serve, which=""):
        """Sends those whose name `which` is found in."""
        app = "app@local.example"
        local, remote, later, never = (
            f"{name}-{self.number}@{domain}"
            for name, domain in [("ann", "local.example"), *((n, "example.net") for n in ("remote", "later", "never"))]
        )
        for via in ("smtp", "pickup"):
            for kind, sender, recipients in [
                ("local", app, [local]),
                ("remote", app, [remote]),
                ("both", app, [local, remote]),
                ("later", app, [later]),
                ("returned", app, [never]),
                ("lost", "<>", [never]),
            ]:
                name = f"{via}-{kind}"
                if re.search(which, name):
                    octets = message(f"{name}-{self.number}.", BODY, to=", ".join(recipients))
                    self.sent.append(Sent(name, sender, recipients, octets, True))
                    self._smtp(serve, self.sent[-1]) if via == "smtp" else self._pickup(self.sent[-1])
        if re.search(which, "pickup-rubbish"):
            self.rubbish = 1
            self.mailroot.submit("rubbish", RUBBISH)

    def _smtp(self, serve, sent):
        with serve.smtp() as client:
            try:
                client.sendmail(sent.sender, sent.recipients, sent.octets)
            except smtplib.SMTPDataError as refused:
                assert 400 <= refused.smtp_code < 500, refused
                sent.accepted = False

    def _pickup(self, sent):
        self.mailroot.submit(sent.name, envelope_block(sent.sender, *sent.recipients) + sent.octets)

    def wait_settled(self):
        def busy():
            queue = [p for p in self.mailroot.files("Queue") if p.suffix != ".json"]
            ready = [p for folder in ("Drop", "Badmail") for p in self.mailroot.folder(folder).glob(".*.ready")]
            return [*self.mailroot.files("Pickup"), *queue, *ready]

        try:
            wait_for(lambda: not busy(), "everything to be settled", 60)
        except AssertionError as late:
            raise AssertionError(f"{late}; left: {[p.name for p in busy()]}") from None

    def judge(self, once_more):
        """Every message arrived, whole, and as often as it may: `once_more` where a record failed."""
        drop = [split_block(path.read_bytes()) for path in self.mailroot.files("Drop")]
        bad = [split_block(path.read_bytes())[1] for path in self.mailroot.files("Badmail", "*.bad")]
        most = 2 if once_more else 1
        found = 0
        for sent in self.sent:
            subject = f"Subject: {sent.name}-{self.number}.".encode()
            reports = [o for block, o in drop if block[0] == "x-sender: <>" and subject in o]
            copies = [(block, o) for block, o in drop if block[0] != "x-sender: <>" and subject in o]
            taken = [t for t in self.host.taken if subject in t.content]
            lost = [octets for octets in bad if subject in octets]
            found += len(reports) + len(copies) + len(lost)
            arrived = Counter(r for block, _ in copies for r in block[1:])
            gone = Counter(r for t in taken for r in t.recipients)
            if not sent.accepted:
                assert not (reports or copies or taken or lost), f"{sent.name} was refused, and is there"
                continue
            assert all(without_trace(octets) == sent.octets for _, octets in copies), f"{sent.name} is not whole"
            assert all(without_trace(t.content) == sent.octets for t in taken), f"{sent.name} is not whole"
            assert all(sent.octets in octets for octets in reports + lost), f"{sent.name} is not returned whole"
            for recipient in sent.recipients:
                if recipient.startswith("ann"):
                    assert arrived[f"x-receiver: {recipient}"] == 1, f"{sent.name}: {arrived}"
                elif recipient.startswith("never"):
                    told = lost if sent.sender == "<>" else reports
                    assert 1 <= len(told) <= most, f"{sent.name}: told {len(told)} times"
                else:
                    assert 1 <= gone[recipient] <= most, f"{sent.name}: {gone}"
        assert bad.count(RUBBISH) == self.rubbish
        assert len(drop) + len(bad) == found + self.rubbish, "nothing else is there"


class Bench:
    """Plays the scenario on one disk after another."""

    def __init__(self, workspace, settings, host):
        self.workspace, self.settings, self.host = workspace, settings, host
        self.numbers = itertools.count()
        self.struck = 0

    def wrong_after(self, trouble):
        """What is wrong after a scenario in which a disk made such trouble, or nothing."""
        scenario = Scenario(self.workspace / f"r{next(self.numbers)}", self.settings, self.host)
        serve, failed = None, []
        try:
            serve = trouble.start(scenario)
            failed = trouble.play(scenario, serve)
            self.struck += bool(failed)
            scenario.wait_settled()
            assert serve.stop() == 0
            scenario.mailroot.serve()
            scenario.wait_settled()
            scenario.judge(once_more=any(RECORD.search(step) for step in failed))
        except (AssertionError, subprocess.TimeoutExpired) as wrong:
            return "\n".join([f"{trouble}: {wrong}", *failed[:20], *(serve.said if serve else [])])
        finally:
            scenario.close()
        return None

    def all_wrong_after(self, troubles):
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
            wrong = [text for text in side_by_side.map(self.wrong_after, troubles) if text]
        print(f"{self.struck} of {len(troubles)} struck")
        return "\n\n".join([f"{len(wrong)} of {len(troubles)}", *wrong]) if wrong else ""


def let_it_retry():
    until = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > until, "retries on the failing disk")


class Fault:
    """A disk whose `first` call of that name says `error`, once or from there on until the scenario is over; only
    calls that `where` is found in count. The scenario is of messages that `which` is found in."""

    def __init__(self, call, error, first=1, lasting=False, where="", which=""):
        self.call, self.error, self.first, self.lasting = call, error, first, lasting
        self.where, self.which = where, which
        self.steps = []

    def __str__(self):
        when = f"when={self.first}{'+' if self.lasting else ''}"
        return " ".join(filter(None, [self.call, errno.errorcode[self.error], when, self.where, self.which]))

    def start(self, scenario):
        self.disk = Disk(scenario.mailroot.root, scenario.mailroot.root.with_suffix(".door"))
        return scenario.mailroot.serve(under=self.disk.command)

    def play(self, scenario, serve):
        """The steps that failed."""
        last = sys.maxsize if self.lasting else self.first
        self.disk.fail(self.call, self.error, self.first, last, self.where)
        scenario.play(serve, self.which)
        if self.lasting:
            let_it_retry()
        else:
            scenario.wait_settled()
        self.steps = self.disk.count()
        self.disk.heal()
        return self.disk.failed


class Window:
    """A disk of which one folder, or the whole, says `error` to one call while the scenario is played."""

    def __init__(self, call, error, folder=None):
        self.call, self.error, self.folder = call, error, folder

    def __str__(self):
        return f"{self.call} {self.error} in {self.folder or 'all folders'}"

    def start(self, scenario):
        return scenario.mailroot.serve()

    def play(self, scenario, serve):
        root = scenario.mailroot.root
        paths = [root / self.folder] if self.folder else []
        with Strace(serve.process, root.with_suffix(".strace"), self.call, self.error, *paths) as strace:
            scenario.play(serve)
            let_it_retry()
            strace.wait_failed()
        return strace.failed()


@pytest.fixture
def bench(workspace, remote):
    host = Host(remote.first, remote.port)
    delivery = {"port": remote.port, "retry": ["300ms"], "localRetry": ["300ms"]}
    yield Bench(workspace, remote.mailroot.settings | {"delivery": delivery}, host)
    host.leave()


def sampled(faults, count):
    """All of them in full length, so many otherwise."""
    seed = int(os.environ.get("MAILROOT_SEED") or random.randrange(1 << 32))
    print(f"MAILROOT_SEED={seed}")
    return random.Random(seed).sample(faults, min(length(count, len(faults)), len(faults)))


def skip_where_no_disk_can_fail():
    if not works():
        pytest.skip("a disk that fails at the Nth step needs seccomp's user notification")


CALLS = ["fsync", "fdatasync", "renameat2", "renameat", "unlinkat", "openat", "write", "pwrite64", "flock", "utimensat"]


@pytest.mark.parametrize("lasting,count", [(False, 36), (True, 12)], ids=["once", "lasting"])
def test_each_step_fails_in_turn(lasting, count, bench):
    skip_where_no_disk_can_fail()
    well = Fault("none", errno.EIO)
    assert not bench.wrong_after(well)
    counts = Counter(step.split()[0] for step in well.steps)
    assert set(CALLS) <= set(counts)
    faults = [
        Fault(call, error, first, lasting)
        for call in CALLS
        for first in range(1, counts[call] + 1)
        for error in (errno.EIO, errno.ENOSPC, errno.EACCES)
    ]
    faults = sampled(faults, count)
    wrong = bench.all_wrong_after(faults)
    assert bench.struck >= len(faults) * 2 // 3, "the others came too late in a scenario that was shorter"
    assert not wrong, wrong


# Each of these lost or doubled mail once.
KNOWN = [
    # The ready file stayed, though its folder was not synced and the source was put back.
    Fault("fsync", errno.EIO, where=r" Drop$", which="pickup-local"),
    Fault("fsync", errno.ENOSPC, lasting=True, where=r" Drop$", which="pickup-local"),
    # The pickup file outlived the message that had superseded it.
    Fault("unlinkat", errno.EIO, where=r"\.pickup$", which="pickup-both"),
    Fault("unlinkat", errno.EIO, lasting=True, where=r"\.(eml|pickup)$", which="pickup-(local|both)"),
    # What had been sent, or reported, and could not be removed was so again at each rescan.
    Fault("unlinkat", errno.EACCES, lasting=True, where=r"\.pickup$", which="pickup-remote"),
    Fault("unlinkat", errno.EACCES, lasting=True, where=r"\.eml$", which="smtp-(returned|lost)"),
    # A file that could not be put back into Pickup was taken for the cause of a crash at each rescan.
    Fault("renameat2", errno.EIO, 2, lasting=True, which="pickup-local"),
    Fault("renameat2", errno.EIO, 2, lasting=True, which="pickup-both"),
]


def test_what_lost_or_doubled_mail_once(bench):
    skip_where_no_disk_can_fail()
    wrong = bench.all_wrong_after(KNOWN)
    assert bench.struck == len(KNOWN)
    assert not wrong, wrong


WINDOWS = [
    Window("fsync", "EIO"),
    Window("fsync", "EIO", "Queue"),
    Window("fsync", "ENOSPC", "Drop"),
    Window("fsync", "EIO", "Badmail"),
    Window("fdatasync", "EIO"),
    Window("pwrite64", "ENOSPC"),
    Window("flock", "EIO"),
    Window("renameat", "ENOSPC", "Queue"),
    Window("renameat2", "EACCES", "Pickup"),
    Window("renameat2", "EIO", "Queue"),
    Window("renameat2", "EIO", "Drop"),
    Window("unlinkat", "EACCES", "Queue"),
    Window("openat", "EACCES", "Pickup"),
    Window("openat", "EACCES", "Queue"),
    Window("openat", "EIO", "Drop"),
    Window("openat", "EIO", "Badmail"),
]


def test_a_folder_fails_for_a_while(bench):
    wrong = bench.all_wrong_after(WINDOWS)
    assert bench.struck == len(WINDOWS)
    assert not wrong, wrong
