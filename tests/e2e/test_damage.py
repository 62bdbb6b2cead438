"""Damaged files, and folders that go away: what is hurt is named and left alone, everything else goes on."""

import asyncio
import contextlib
import email
import email.utils
import fcntl
import json
import os
import re
import shutil
import smtplib
import threading
import time
from collections import Counter

import pytest

from harness import mount
from harness.clock import set_clock, with_clock
from harness.mail import envelope_block, message
from harness.scripted import Scripted
from harness.waiting import wait_for

LATER = "451 4.7.1 come back later"
SENDER = "app@local.example"


def message_id(number, age=0):
    """As the service makes them: the time of arrival in units of 100 ns since 1601, then eight digits."""
    arrival = int(time.time()) - age + 11_644_473_600
    return f"{arrival * 10**7:016x}{number:08x}"


def whole(recipient):
    """A file of Queue."""
    received = b"Received: by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n"
    return envelope_block(f"<{SENDER}>", f"<{recipient}>") + received + message(f"to {recipient}")


def lay(path, octets):
    """A file under its name at once, whose owner is the folder's."""
    draft = path.parent.parent / f".draft-{path.name}"
    draft.write_bytes(octets)
    owner = path.parent.stat()
    os.chown(draft, owner.st_uid, owner.st_gid)
    draft.rename(path)


def answer(serve, recipient, subject="a subject"):
    """The code of the reply to a message: 250, or that of the first refusal."""
    with serve.smtp() as client:
        try:
            client.sendmail(SENDER, [recipient], message(subject))
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients[recipient][0]
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code
    return 250


def is_put_off(code):
    return 400 <= code < 500


def submit(mailroot, name, recipient):
    mailroot.submit(name, envelope_block(SENDER, recipient) + message(name))


def let_rescans_pass(mailroot, count=3):
    """A second name for a file is no event, so that each of these was found by another rescan."""
    for number in range(count):
        draft, path = mailroot.root / ".draft", mailroot.folder("Pickup") / f"unheard{number}"
        draft.write_bytes(message(to="rescan@local.example"))
        os.link(draft, path)
        draft.unlink()
        wait_for(lambda: not path.exists() and not mailroot.files("Queue", "*.pickup"), "a rescan to take a file")


def lines_about(serve, *words):
    return [line for line in serve.said if all(word in line for word in words)]


# --- Damaged entries


DAMAGED = {
    "empty": b"",
    "torn in a line of its block": f"x-sender: <{SENDER}>\r\nx-receiver: <torn@example.n".encode(),
    "torn behind a line of its block": envelope_block(f"<{SENDER}>", "<torn@example.net>"),
    "without a recipient": envelope_block(f"<{SENDER}>") + message(),
    "without a sender": b"x-receiver: <torn@example.net>\r\n" + message(),
    "binary": bytes(range(256)) * 64,
}


class Damaged:
    """Entries of Queue that cannot be used, and one good message between each two of them."""

    def __init__(self, queue):
        self.queue = queue
        self.paths, self.good = [], []
        for octets in DAMAGED.values():
            lay(self._next(), octets)
        unreadable = self._next()
        lay(unreadable, whole("unreadable@example.net"))
        os.chown(unreadable, os.geteuid(), os.getegid())
        unreadable.chmod(0o600 if os.geteuid() == 0 else 0)
        self._next().mkdir()
        self._next().symlink_to(queue / self.good[0])

    def _next(self):
        number = len(self.good)
        self.good.append(f"{message_id(2 * number)}.eml")
        lay(self.queue / self.good[-1], whole(f"good{number}@example.net"))
        self.paths.append(self.queue / f"{message_id(2 * number + 1)}.eml")
        return self.paths[-1]

    def recipients(self):
        return [f"good{number}@example.net" for number in range(len(self.good))]

    def names(self):
        return {f"Queue/{path.name}" for path in self.paths}

    def repair(self):
        """Puts a whole file in the place of each; gives their recipients."""
        for number, path in enumerate(self.paths):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
            lay(path, whole(f"repaired{number}@example.net"))
        return [f"repaired{number}@example.net" for number in range(len(self.paths))]


@pytest.fixture
def ordinary(remote):
    """Its root belongs to an ordinary account, which serve becomes: root reads everything."""
    if os.geteuid() == 0:
        shutil.chown(remote.mailroot.root, "nobody", "nogroup")
    remote.mailroot.create()
    for name in ("Pickup", "Queue", "Drop", "Badmail"):
        owner = remote.mailroot.root.stat()
        os.chown(remote.mailroot.folder(name), owner.st_uid, owner.st_gid)
    return remote


def test_damaged_messages_are_named_once_and_stop_nothing(ordinary, scripted):
    mailroot, host = ordinary.mailroot, scripted(ordinary.first, ordinary.port)
    damaged = Damaged(mailroot.folder("Queue"))
    serve = mailroot.serve()
    assert answer(serve, "smtp@example.net") == 250
    submit(mailroot, "pickup", "pickup@example.net")
    expected = [*damaged.recipients(), "smtp@example.net", "pickup@example.net"]
    wait_for(lambda: len(host.taken) >= len(expected), "everything else to be delivered")

    let_rescans_pass(mailroot)
    for path in damaged.paths:
        assert len(lines_about(serve, "left where it is", path.name)) == 1, path.name
    assert {entry["file"] for entry in mailroot.report("queue-report")["unusable"]} == damaged.names()
    assert {f"Queue/{path.name}" for path in mailroot.files("Queue")} == damaged.names()

    expected += damaged.repair()
    mailroot.wait_idle()
    assert Counter(host.recipients()) == Counter(expected)
    assert not mailroot.report("queue-report")["unusable"]
    assert serve.stop() == 0


def test_a_damaged_history_costs_history_alone(remote, scripted):
    queue, host = remote.mailroot.create().folder("Queue"), scripted(remote.first, remote.port)
    rubbish, newer, orphan = (message_id(number) for number in range(3))
    lay(queue / f"{rubbish}.eml", whole("rubbish@example.net"))
    lay(queue / f"{rubbish}.json", b'{"attempts": 3, "recip')
    attempt = {"attempts": 3, "when": "2026-11-24T01:48:12Z", "host": "mx", "reply": LATER, "mood": ["grey"]}
    known = {"attempts": 3, "colour": {"of": "hope"}, "recipients": {"newer@example.net": attempt}}
    lay(queue / f"{newer}.eml", whole("newer@example.net"))
    lay(queue / f"{newer}.json", json.dumps(known).encode())
    lay(queue / f"{orphan}.json", json.dumps(known).encode())

    report = remote.mailroot.report("queue-report")
    assert {entry["id"]: entry["attempts"] for entry in report["messages"]} == {rubbish: 0, newer: 3}
    assert LATER in [entry["reason"] for entry in report["messages"]]
    assert not report["unusable"]

    serve = remote.mailroot.serve()
    wait_for(lambda: not remote.mailroot.files("Queue", "*.eml"), "both to be delivered")
    let_rescans_pass(remote.mailroot)
    assert sorted(host.recipients()) == ["newer@example.net", "rubbish@example.net"]
    assert not lines_about(serve, orphan)
    (left,) = remote.mailroot.files("Queue")
    assert left.stem == orphan, "swept once it is old"


@pytest.mark.parametrize("folder,shown", [("Drop", "*.eml"), ("Badmail", "*.bad")])
def test_a_ready_file_of_rubbish_is_not_shown(folder, shown, mailroot):
    mailroot.create()
    rubbish = {message_id(0): b"\0\1\2 nothing of ours", message_id(1): b"", "name": b"x"}
    ready = [mailroot.folder(folder) / f".{name}.ready" for name in rubbish]
    for path, octets in zip(ready, rubbish.values()):
        path.write_bytes(octets)
    serve = mailroot.serve()
    assert answer(serve, "ann@local.example") == 250
    let_rescans_pass(mailroot)
    for path in ready:
        assert path.exists()
        assert len(lines_about(serve, f"{folder}/{path.name}")) == 1
    delivered = [path.read_bytes() for path in mailroot.files(folder, shown)]
    assert all(b"Subject: " in octets for octets in delivered)


# --- The clock


def assert_new_mail_passes_at_once(mailroot, host, serve):
    """Over SMTP and Pickup, to a local and to a remote recipient each."""
    before, kept = len(host.taken), len(mailroot.files("Drop"))
    for name in ("smtp", "pickup"):
        for recipient in (f"{name}@example.net", f"{name}@local.example"):
            if name == "smtp":
                assert answer(serve, recipient) == 250
            else:
                submit(mailroot, recipient, recipient)
    wait_for(lambda: len(host.taken) >= before + 2, "the remote ones", 5)
    wait_for(lambda: len(mailroot.files("Drop")) >= kept + 2, "the local ones", 5)
    assert sorted(host.recipients()[before:]) == ["pickup@example.net", "smtp@example.net"]


def test_a_clock_that_was_set_back_stops_nothing(remote, scripted):
    """What lies in Queue came two hours from now; it waits until then, or for a touch."""
    mailroot, host = remote.mailroot.create(), scripted(remote.first, remote.port)
    path = mailroot.folder("Queue") / f"{message_id(1, age=-7200)}.eml"
    lay(path, whole("ann@example.net"))
    later = time.time() + 7200
    os.utime(path, (later, later))
    serve = mailroot.serve()
    assert_new_mail_passes_at_once(mailroot, host, serve)
    let_rescans_pass(mailroot)
    assert [p.name for p in mailroot.files("Queue")] == [path.name]
    assert mailroot.report("queue-report")["messages"][0]["id"] == path.stem
    path.touch()
    mailroot.wait_idle()
    assert host.recipients()[2:] == ["ann@example.net"]
    assert serve.stop() == 0


def test_a_clock_that_is_set_back_under_serve_stops_nothing(remote, scripted, workspace):
    host = scripted(remote.first, remote.port, refuse={"later@example.net": LATER})
    remote.mailroot.configure(delivery={"retry": ["1h"]})
    clock = workspace / "clock"
    set_clock(clock, "+0")
    serve = remote.mailroot.serve(under=with_clock(clock))
    submit(remote.mailroot, "before", "later@example.net")
    wait_for(lambda: remote.mailroot.files("Queue", "*.json"), "a message that waits")
    (path,) = remote.mailroot.files("Queue", "*.eml")
    wait_for(lambda: path.stat().st_mtime > time.time() + 60, "its next attempt to be planned")

    set_clock(clock, "-2h")
    assert_new_mail_passes_at_once(remote.mailroot, host, serve)
    received = email.message_from_bytes(host.taken[-1].content)["Received"].rpartition(";")[2]
    assert time.time() - email.utils.parsedate_to_datetime(received).timestamp() > 3600, "it was set back"
    ids = [line.split()[1] for line in lines_about(serve, " picked up ") + lines_about(serve, " received from ")]
    assert len(ids) == len(set(ids)) and min(ids) == f"{path.stem}:", "none is given twice, the order is kept"
    set_clock(clock, "+0")
    host.refuse.clear()
    path.touch()
    remote.mailroot.wait_idle()
    assert host.recipients()[2:] == ["later@example.net"]
    assert serve.stop() == 0


# --- Folders that go away


def wait_named(serve, folder):
    """The lines that say what is wrong with a folder itself."""

    def lines():
        return [line for line in serve.said if re.search(rf"(: |/){folder}: ", line)]

    return wait_for(lines, f"{folder} to be named")


def waits(remote, scripted):
    """A message that its host puts off every second, under a running serve: until `host.refuse` is empty."""
    host = scripted(remote.first, remote.port, refuse={"waits@example.net": LATER})
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "waits", "waits@example.net")
    wait_for(lambda: remote.mailroot.files("Queue", "*.json"), "a message that waits")
    return host, serve


def assert_each_once(host, *recipients):
    assert Counter(host.recipients()) == Counter(recipients)


def test_queue_is_moved_away_and_back(remote, scripted):
    mailroot, (host, serve) = remote.mailroot, waits(remote, scripted)
    away = mailroot.root / "away"
    mailroot.folder("Queue").rename(away)
    wait_named(serve, "Queue")
    assert is_put_off(answer(serve, "refused@example.net"))
    assert answer(serve, "ann@local.example") == 250
    mailroot.wait_files("Drop", 1)
    submit(mailroot, "stays", "stays@example.net")
    assert is_put_off(answer(serve, "refused@example.net"))
    assert len(mailroot.files("Pickup")) == 1 and serve.running()
    assert len(wait_named(serve, "Queue")) == 1, "said once"

    mailroot.folder("Queue").mkdir(mode=0o700)
    wait_for(lambda: answer(serve, "smtp@example.net") == 250, "SMTP to go on")
    mailroot.wait_idle()
    assert_each_once(host, "smtp@example.net", "stays@example.net")

    mailroot.folder("Queue").rename(mailroot.root / "empty")
    away.rename(mailroot.folder("Queue"))
    host.refuse.clear()
    mailroot.wait_idle()
    assert_each_once(host, "smtp@example.net", "stays@example.net", "waits@example.net")
    assert serve.stop() == 0


def test_pickup_is_moved_away_and_made_anew(mailroot):
    serve = mailroot.serve()
    mailroot.folder("Pickup").rename(mailroot.root / "away")
    wait_named(serve, "Pickup")
    assert answer(serve, "ann@local.example") == 250
    mailroot.wait_files("Drop", 1)
    mailroot.folder("Pickup").mkdir()
    submit(mailroot, "new", "ann@local.example")
    mailroot.wait_files("Drop", 2)
    submit(mailroot, "newer", "ann@local.example")
    mailroot.wait_files("Drop", 3)
    assert serve.stop() == 0


def test_drop_is_moved_away_and_made_anew(remote, scripted):
    mailroot, host = remote.mailroot, scripted(remote.first, remote.port)
    serve = mailroot.serve()
    mailroot.folder("Drop").rename(mailroot.root / "away")
    wait_named(serve, "Drop")
    assert is_put_off(answer(serve, "ann@local.example"))
    submit(mailroot, "stays", "ann@local.example")
    assert answer(serve, "smtp@example.net") == 250
    wait_for(lambda: host.taken, "remote mail to go on")
    assert not list((mailroot.root / "away").iterdir())
    mailroot.folder("Drop").mkdir(mode=0o700)
    mailroot.wait_files("Drop", 1)
    mailroot.wait_idle()
    assert serve.stop() == 0


def test_badmail_is_moved_away_and_made_anew(mailroot):
    serve = mailroot.serve()
    mailroot.folder("Badmail").rename(mailroot.root / "away")
    wait_named(serve, "Badmail")
    mailroot.submit("rubbish", b"nothing that could be mail\r\n")
    assert answer(serve, "ann@local.example") == 250
    let_rescans_pass(mailroot)
    assert (mailroot.folder("Pickup") / "rubbish").exists() or mailroot.files("Queue", "*.pickup")
    mailroot.folder("Badmail").mkdir(mode=0o700)
    (bad,) = mailroot.wait_files("Badmail", pattern="*.bad")
    assert bad.read_bytes() == b"nothing that could be mail\r\n"
    mailroot.wait_idle()
    assert not list((mailroot.root / "away").iterdir())
    assert serve.stop() == 0


def test_the_root_is_unmounted_and_mounted_again(remote, scripted, workspace):
    mailroot, store = remote.mailroot, workspace / "store"
    store.mkdir()
    shutil.rmtree(mailroot.root)
    mailroot.root.mkdir()
    with mount.tmpfs(store), mount.bind(mailroot.root, store) as volume:
        mailroot.configure()
        host, serve = waits(remote, scripted)
        volume.unmount()
        wait_named(serve, "Queue")
        wait_named(serve, "Drop")
        assert is_put_off(answer(serve, "refused@example.net"))
        assert is_put_off(answer(serve, "ann@local.example"))
        assert not list(mailroot.root.iterdir()), "nothing is laid where the volume will hide it"

        volume.mount()
        wait_for(lambda: answer(serve, "smtp@example.net") == 250, "SMTP to go on")
        wait_for(lambda: answer(serve, "ann@local.example") == 250, "SMTP to go on")
        submit(mailroot, "pickup", "pickup@example.net")
        host.refuse.clear()
        mailroot.wait_idle()
        assert_each_once(host, "smtp@example.net", "pickup@example.net", "waits@example.net")
        assert len(mailroot.files("Drop")) == 1
        assert serve.stop() == 0


@contextlib.contextmanager
def kept_from_serve(path, octets):
    """A file that a reader has locked, as .NET's do, before its writer closed it."""
    with contextlib.ExitStack() as reading:
        with path.open("xb") as writer:
            fcntl.flock(writer, fcntl.LOCK_SH)
            writer.write(octets)
            fcntl.flock(reading.enter_context(path.open("rb")), fcntl.LOCK_SH)
        yield


def let_time_pass(seconds=1):
    """Several rescans, where nothing can be written that would show them."""
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > until, "time to pass")


def test_read_only_and_writable_again(remote, scripted, workspace):
    mailroot = remote.mailroot
    with mount.ext4(mailroot.root, workspace / "image") as volume:
        mailroot.configure()
        host, serve = waits(remote, scripted)
        path = mailroot.folder("Pickup") / "stays"
        with kept_from_serve(path, message(to="ann@local.example")):
            volume.remount("ro")
        assert is_put_off(answer(serve, "refused@example.net"))
        assert is_put_off(answer(serve, "refused@local.example"))
        host.refuse.clear()
        wait_for(lambda: lines_about(serve, "Read-only", "Pickup/stays"), "the reason to be said")
        (waiting,) = mailroot.files("Queue", "*.eml")
        wait_for(lambda: lines_about(serve, "Read-only", waiting.stem), "the reason to be said")
        said = len(lines_about(serve, "Read-only"))
        let_time_pass()
        assert len(lines_about(serve, "Read-only")) == said, "each thing once"
        assert path.exists() and not host.taken, "nothing goes out that could not be recorded"

        volume.remount("rw")
        mailroot.wait_idle()
        assert answer(serve, "smtp@example.net") == 250
        assert answer(serve, "bob@local.example") == 250
        mailroot.wait_idle()
        assert_each_once(host, "smtp@example.net", "waits@example.net")
        assert len(mailroot.files("Drop")) == 2
        assert serve.stop() == 0


class Slow(Scripted):
    """Has a message, and says so only when `go_on` is set."""

    def __init__(self, address, port):
        self.go_on = threading.Event()
        super().__init__(address, port)

    async def handle_DATA(self, server, session, envelope):
        reply = await super().handle_DATA(server, session, envelope)
        await asyncio.to_thread(self.go_on.wait, 60)
        return reply


@pytest.fixture
def slow(remote):
    host = Slow(remote.first, remote.port)
    yield host
    host.leave()


def test_what_was_sent_while_the_disk_became_read_only_is_not_sent_again(remote, slow, workspace):
    mailroot = remote.mailroot
    with mount.ext4(mailroot.root, workspace / "image") as volume:
        mailroot.configure()
        serve = mailroot.serve()
        submit(mailroot, "sent", "sent@example.net")
        wait_for(lambda: slow.taken, "the host to have it")
        volume.remount("ro")
        slow.go_on.set()
        wait_for(lambda: lines_about(serve, "delivered sent@example.net"), "the host to say so")
        let_time_pass()
        volume.remount("rw")
        mailroot.wait_idle()
        assert_each_once(slow, "sent@example.net")
        assert serve.stop() == 0


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_full_and_free_again(kind, remote, scripted, workspace):
    mailroot = remote.mailroot
    volume = mount.tmpfs(mailroot.root) if kind == "tmpfs" else mount.ext4(mailroot.root, workspace / "image")
    with volume as volume:
        mailroot.configure()
        host, serve = waits(remote, scripted)
        host.refuse["stays@example.net"] = LATER
        drafts = {}
        for recipient in ("stays@example.net", "stays@local.example"):
            drafts[recipient] = mailroot.root / f".draft-{recipient}"
            drafts[recipient].write_bytes(envelope_block(SENDER, recipient) + message())
        wait_for_attempts(mailroot, host)
        ballast = volume.fill()

        assert answer(serve, "refused@example.net") in (451, 452)
        assert answer(serve, "refused@local.example") in (451, 452)
        for recipient, draft in drafts.items():
            draft.rename(mailroot.folder("Pickup") / recipient)
        for recipient in drafts:
            wait_for(lambda: lines_about(serve, "No space left", recipient), "the reason to be said")
        wait_for_attempts(mailroot, host)
        wait_for_attempts(mailroot, host)
        for recipient in drafts:
            wait_for((mailroot.folder("Pickup") / recipient).exists, f"{recipient} to be in Pickup")
            assert len(lines_about(serve, "left where it is", recipient)) == 1, "said once"
        assert not mailroot.files("Drop") and not host.taken

        ballast.unlink()
        wait_for(lambda: answer(serve, "smtp@example.net") == 250, "SMTP to go on")
        assert answer(serve, "bob@local.example") == 250
        host.refuse.clear()
        mailroot.wait_idle()
        assert_each_once(host, "smtp@example.net", "waits@example.net", "stays@example.net")
        assert len(mailroot.files("Drop")) == 2
        assert serve.stop() == 0


def wait_for_attempts(mailroot, host):
    """The next attempt at the message that waits, recorded where there is room."""
    before = host.attempts.count("waits@example.net")
    (path,) = mailroot.files("Queue", "*.eml")
    touched = path.stat().st_mtime_ns
    wait_for(lambda: host.attempts.count("waits@example.net") > before, "an attempt")
    wait_for(lambda: path.stat().st_mtime_ns != touched, "the next to be planned")
