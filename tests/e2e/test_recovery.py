"""Every state that a message's files can be in: made, the program killed there, started again."""

import asyncio
import contextlib
import errno
import fcntl
import itertools
import json
import os
import pathlib
import re
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

import pytest

from harness import mailroot as harness_mailroot
from harness.length import length
from harness.mail import envelope_block, message, split_block, without_trace
from harness.scripted import Scripted
from harness.waiting import wait_for

ANN, BOB = "ann@local.example", "bob@example.net"
LATER = "451 4.7.1 greylisted, come back"
NEVER = "550 5.1.1 nobody here"
ID = "[0-9a-f]{24}"


def new_id():
    """As the service makes them: FILETIME, then 32 bits."""
    return f"{time.time_ns() // 100 + 116444736000000000:016x}deadbeef"


def ours(*recipients, sender="app@local.example", body="Hello.\r\n"):
    """What stands in Queue: block, our Received at once, message. A recipient that begins with "-" is settled."""
    lines = [f"x-sender: <{sender}>"]
    lines += [f"x-received: <{r[1:]}>" if r.startswith("-") else f"x-receiver: <{r}>" for r in recipients]
    lines += ["Received: from app by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000"]
    return "".join(f"{line}\r\n" for line in lines).encode() + message(body=body)


def lay(mailroot, folder, name, content):
    path = mailroot.folder(folder) / name
    path.write_bytes(content)
    return path


def is_locked(path):
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            assert error.errno == errno.EWOULDBLOCK
            return True
    return False


def names(mailroot, folder):
    return sorted(os.listdir(mailroot.folder(folder)))


def one_later_passes(mailroot, recipient="passes@local.example"):
    """What came last is delivered, so that whatever still lies there was left on purpose."""
    before = len(mailroot.files("Drop"))
    mailroot.submit("later.eml", message(to=recipient))
    wait_for(lambda: len(mailroot.files("Drop")) > before, "the later message in Drop")


@pytest.fixture
def mute(remote):
    """The mail host takes connections and says nothing, so that what goes there stays in hand."""
    with socket.create_server((remote.first, remote.port)) as server:
        server.settimeout(20)
        yield server


@pytest.fixture
def later(monkeypatch):
    """later(): whatever is started from here on lives 20 minutes later."""

    def start():
        library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            pytest.skip("to let 20 minutes pass needs faketime")
        preload(monkeypatch, library)
        monkeypatch.setenv("FAKETIME", "+20m")

    return start


def preload(monkeypatch, library):
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0")


STATES = {
    "P1": ("Pickup", "[^.].*"),
    "P2": ("Queue", rf"{ID}\.pickup"),
    "Q1": ("Queue", rf"\.{ID}\.tmp"),
    "Q2": ("Queue", rf"{ID}\.eml"),
    "history": ("Queue", rf"{ID}\.json"),
    "H1 in Drop": ("Drop", rf"\.{ID}\.tmp"),
    "H2 in Drop": ("Drop", rf"\.{ID}\.ready"),
    "D": ("Drop", rf"{ID}\.eml"),
    "H1 in Badmail": ("Badmail", rf"\.{ID}\.tmp"),
    "H2 in Badmail": ("Badmail", rf"\.{ID}\.ready"),
    "B": ("Badmail", rf"{ID}\.bad"),
}


def states(mailroot):
    """Those of the table that the files are in."""
    found = {
        state
        for state, (folder, pattern) in STATES.items()
        if any(re.fullmatch(pattern, name) for name in names(mailroot, folder))
    }
    if "history" in found:
        found.remove("history")
        found.add("Q3" if "Q2" in found else "Q4" if "P2" not in found else "P2")
    return found


def wait_settled(mailroot):
    """Nothing is left to take, to send, or to finish; what is to be swept one day may be."""
    left = {"P1", "P2", "Q2", "Q3", "H2 in Drop", "H2 in Badmail"}

    def settled():
        assert mailroot.serving[-1].running(), "serve ended by itself"
        return not states(mailroot) & left

    wait_for(settled, "nothing to be left to take, to send or to finish")


def finish(mailroot):
    """The next start, which nothing kills."""
    serve = mailroot.serve()
    wait_settled(mailroot)
    assert serve.stop() == 0


# --- the table, row by row ---


def test_p1_a_file_of_pickup_is_taken_once_its_writer_is_done(mailroot):
    serve = mailroot.serve()
    content = message(to=ANN)
    path = mailroot.folder("Pickup") / "x.eml"
    with path.open("xb", buffering=0) as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        writer.write(content[:50])
        one_later_passes(mailroot)
        serve.kill()
        assert names(mailroot, "Pickup") == ["x.eml"]
        mailroot.serve()
        one_later_passes(mailroot)
        assert names(mailroot, "Pickup") == ["x.eml"]
        writer.write(content[50:])
    drops = mailroot.wait_files("Drop", 3)
    assert sum(without_trace(split_block(path.read_bytes())[1]) == content for path in drops) == 1
    assert not names(mailroot, "Pickup")


def test_p2_a_file_in_hand_is_resumed_under_its_id(remote, mute, scripted):
    serve = remote.mailroot.serve()
    sent = message()
    remote.mailroot.submit("x.eml", envelope_block("app@local.example", BOB) + sent)
    (path,) = remote.mailroot.wait_files("Queue", pattern="*.pickup")
    assert is_locked(path)
    serve.kill()
    assert names(remote.mailroot, "Queue") == [path.name] and not is_locked(path)
    mute.close()
    host = scripted(remote.first, remote.port)
    finish(remote.mailroot)
    assert host.recipients() == [BOB] and without_trace(host.taken[0].content) == sent
    assert path.stem.encode() in host.taken[0].content.partition(b"\nFrom:")[0], "the id stands in Received"


def kill_while_it_reads(mailroot, path, monkeypatch):
    """A serve that dies as soon as it reads a file: there is something in it that ends us."""
    strace = ["strace", "-D", "-q", "-f", "-o", "/dev/null", "-P", str(path)]
    strace += ["-e", "trace=pread64", "-e", "inject=pread64:signal=SIGKILL"]
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    try:
        subprocess.run([*strace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("to end the program while it reads needs strace, and leave to trace")
    serve = [harness_mailroot.PROGRAM, "--root", mailroot.root, "serve", "--listen", "127.0.0.1:0"]
    done = subprocess.run([*strace, *serve], capture_output=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr


def test_p2_a_file_that_ends_us_three_times_goes_to_badmail(mailroot, monkeypatch):
    content = message(to=ANN)
    path = lay(mailroot.create(), "Queue", f"{new_id()}.pickup", content)
    for _ in range(2):
        # The first crash is the one that left the file there.
        kill_while_it_reads(mailroot, path, monkeypatch)
        assert path.read_bytes() == content and not mailroot.files("Badmail") and not mailroot.files("Drop")
    serve = mailroot.serve()
    one_later_passes(mailroot)
    (bad,) = mailroot.wait_files("Badmail", pattern="*.bad")
    assert bad.read_bytes() == content and bad.stem == path.stem
    assert "three times" in bad.with_suffix(".bdr").read_text()
    assert json.loads(bad.with_suffix(".bdp").read_text())["reason"] == "generalFailure"
    assert serve.stop() == 0
    assert not path.exists() and len(mailroot.files("Drop")) == 1


def test_p2_a_file_that_only_waits_for_its_host_is_never_counted_out(remote, mute, scripted):
    mailroot = remote.mailroot.create()
    mailroot.submit("x.eml", envelope_block("app@local.example", BOB) + message())
    for _ in range(5):
        serve = mailroot.serve()
        with mute.accept()[0]:  # it is on its way
            serve.kill()
    mute.close()
    host = scripted(remote.first, remote.port)
    finish(mailroot)
    assert host.recipients() == [BOB] and not mailroot.files("Badmail")


def test_q1_what_was_never_answered_for_is_swept_when_it_is_old(remote, later):
    """A client is cut off in the middle of its message."""
    mailroot = remote.mailroot
    serve = mailroot.serve()
    client = serve.smtp()
    client.ehlo()
    client.mail("app@local.example")
    client.rcpt(BOB)
    client.docmd("DATA")
    client.send(message(body=("x" * 70 + "\r\n") * 30_000))
    (name,) = wait_for(lambda: names(mailroot, "Queue"), "the message in the making")
    assert re.fullmatch(rf"\.{ID}\.tmp", name) and is_locked(mailroot.folder("Queue") / name)
    serve.kill()
    client.close()
    serve = mailroot.serve()
    one_later_passes(mailroot)
    assert serve.stop() == 0
    assert names(mailroot, "Queue") == [name], "it may be somebody's who is slow"

    later()
    serve = mailroot.serve()
    wait_for(lambda: not names(mailroot, "Queue"), "the sweep")
    one_later_passes(mailroot)
    assert serve.stop() == 0
    assert len(mailroot.files("Drop")) == 2 and not mailroot.files("Badmail")


def test_nothing_is_swept_that_somebody_holds(mailroot, later):
    mailroot.create()
    held = [lay(mailroot, folder, f".{new_id()}.tmp", b"x-sender") for folder in ("Queue", "Drop", "Badmail")]
    free = [lay(mailroot, folder, f".{new_id()}.tmp", b"x-sender") for folder in ("Queue", "Drop", "Badmail")]
    later()
    with contextlib.ExitStack() as locks:
        for path in held:
            fcntl.flock(locks.enter_context(path.open("rb")), fcntl.LOCK_EX)
        serve = mailroot.serve()
        wait_for(lambda: not any(path.exists() for path in free), "the sweep")
        assert serve.stop() == 0
        assert all(path.exists() for path in held)
    mailroot.serve()
    wait_for(lambda: not any(path.exists() for path in held), "the sweep of what was let go")


def test_q2_what_was_answered_for_is_sent(remote, mute, scripted):
    serve = remote.mailroot.serve()
    sent = message()
    with serve.smtp() as client:
        client.sendmail("app@local.example", [BOB], sent)
    (path,) = remote.mailroot.files("Queue")
    serve.kill()
    assert names(remote.mailroot, "Queue") == [path.name] and not is_locked(path)
    mute.close()
    host = scripted(remote.first, remote.port)
    finish(remote.mailroot)
    assert host.recipients() == [BOB] and without_trace(host.taken[0].content) == sent


def test_q2_supersedes_the_pickup_file_that_it_was_made_of(remote, scripted):
    host = scripted(remote.first, remote.port)
    mailroot, name = remote.mailroot.create(), new_id()
    lay(mailroot, "Queue", f"{name}.eml", ours(BOB, f"-{ANN}", body="canonical\r\n"))
    lay(mailroot, "Queue", f"{name}.pickup", message(to=f"{BOB}, {ANN}", body="as it was\r\n"))
    finish(mailroot)
    assert host.recipients() == [BOB] and host.taken[0].content.endswith(b"\r\n\r\ncanonical\r\n")
    assert not names(mailroot, "Drop") and not mailroot.files("Badmail"), "ann had been delivered to"


def test_q3_what_was_deferred_keeps_its_time_and_its_history(remote, scripted):
    mailroot = remote.mailroot
    host = scripted(remote.first, remote.port, refuse={BOB: LATER})
    mailroot.configure(delivery={"retry": ["1h"]})
    serve = mailroot.serve()
    mailroot.submit("x.eml", envelope_block("app@local.example", BOB) + message())
    wait_for(lambda: mailroot.files("Queue", "*.json"), "the history")
    (path,) = mailroot.files("Queue", "*.eml")
    due = wait_for(lambda: max(path.stat().st_mtime_ns - time.time_ns(), 0) and path.stat().st_mtime_ns, "its time")
    serve.kill()
    assert names(mailroot, "Queue") == [path.name, f"{path.stem}.json"]

    serve = mailroot.serve()
    one_later_passes(mailroot)
    one_later_passes(mailroot)
    assert host.attempts == [BOB] and path.stat().st_mtime_ns == due
    (entry,) = mailroot.report("queue-report")["messages"]
    assert entry["attempts"] == 1 and "greylisted" in entry["reason"]
    assert serve.stop() == 0
    assert mailroot.run("queue-retry", path.stem).returncode == 75
    assert json.loads(path.with_suffix(".json").read_text())["attempts"] == 2
    host.refuse.clear()
    assert mailroot.run("queue-retry", path.stem).returncode == 0
    assert host.recipients() == [BOB] and not names(mailroot, "Queue")


def test_q4_a_history_without_its_message_is_swept_when_it_is_old(mailroot, later):
    path = lay(mailroot.create(), "Queue", f"{new_id()}.json", b'{"attempts": 1}')
    serve = mailroot.serve()
    one_later_passes(mailroot)
    assert serve.stop() == 0
    assert path.exists() and not mailroot.report("queue-report")["messages"]
    later()
    mailroot.serve()
    wait_for(lambda: not path.exists(), "the sweep")
    one_later_passes(mailroot)
    assert len(mailroot.files("Drop")) == 2 and not mailroot.files("Badmail")


def test_h1_in_drop_counts_for_nothing(mailroot, later):
    mailroot.create()
    name, alone = new_id(), new_id()
    lay(mailroot, "Queue", f"{name}.eml", ours(ANN, body="whole\r\n"))
    lay(mailroot, "Drop", f".{name}.tmp", ours(ANN, body="torn\r\n")[:-5])
    orphan = lay(mailroot, "Drop", f".{alone}.tmp", ours(ANN, body="torn\r\n")[:-5])
    finish(mailroot)
    (path,) = mailroot.files("Drop")
    assert path.stem == name and path.read_bytes().endswith(b"\r\n\r\nwhole\r\n")
    assert names(mailroot, "Drop") == [orphan.name, path.name]
    later()
    mailroot.serve()
    wait_for(lambda: names(mailroot, "Drop") == [path.name], "the sweep")


def test_h1_in_badmail_counts_for_nothing(remote, scripted, later):
    scripted(remote.first, remote.port, refuse={BOB: NEVER})
    mailroot = remote.mailroot.create()
    name, alone = new_id(), new_id()
    lay(mailroot, "Queue", f"{name}.eml", ours(BOB, sender="", body="whole\r\n"))
    for torn in (name, alone):
        lay(mailroot, "Badmail", f".{torn}.tmp", ours(BOB, sender="", body="torn\r\n")[:-5])
    finish(mailroot)
    (bad,) = mailroot.files("Badmail", "*.bad")
    assert bad.stem == name and bad.read_bytes().endswith(b"\r\n\r\nwhole\r\n")
    shown = [f"{name}.bad", f"{name}.bdp", f"{name}.bdr"]
    assert names(mailroot, "Badmail") == [f".{alone}.tmp", *shown]
    later()
    mailroot.serve()
    wait_for(lambda: names(mailroot, "Badmail") == shown, "the sweep")


H2_IN_DROP = {
    # what is still in Queue when the ready file is for ann; whether bob is owed a copy
    "message": ({"eml": ours(ANN)}, False),
    "mixed message": ({"eml": ours(ANN, BOB)}, True),
    "mixed message, ann settled": ({"eml": ours(f"-{ANN}", BOB)}, True),
    "deferred message": ({"eml": ours(ANN), "json": b'{"attempts": 1}'}, False),
    "pickup file": ({"pickup": message(to=ANN)}, False),
    "nothing": ({}, False),
}


@pytest.mark.parametrize("source", H2_IN_DROP)
def test_h2_in_drop_is_finished(source, remote, scripted):
    sources, bob_is_owed = H2_IN_DROP[source]
    host = scripted(remote.first, remote.port)
    mailroot, name = remote.mailroot.create(), new_id()
    for extension, content in sources.items():
        lay(mailroot, "Queue", f"{name}.{extension}", content)
    ready = envelope_block("app@local.example", ANN) + message(body="ready\r\n")
    lay(mailroot, "Drop", f".{name}.ready", ready)
    finish(mailroot)
    (path,) = mailroot.files("Drop")
    assert path.stem == name and path.read_bytes() == ready, "as it was made ready, not written anew"
    assert names(mailroot, "Drop") == [path.name] and not names(mailroot, "Queue")
    assert host.recipients() == ([BOB] if bob_is_owed else [])


def test_h2_is_not_finished_under_a_process_that_holds_it(mailroot):
    name = new_id()
    source = lay(mailroot.create(), "Queue", f"{name}.eml", ours(ANN))
    ready = lay(mailroot, "Drop", f".{name}.ready", envelope_block("app@local.example", ANN) + message())
    with source.open("rb") as message_lock, ready.open("rb") as ready_lock:
        fcntl.flock(message_lock, fcntl.LOCK_EX)
        fcntl.flock(ready_lock, fcntl.LOCK_EX)
        serve = mailroot.serve()
        one_later_passes(mailroot)
        assert serve.stop() == 0
        assert source.exists() and ready.exists() and len(mailroot.files("Drop")) == 1
    finish(mailroot)
    assert f"{name}.eml" in names(mailroot, "Drop") and len(names(mailroot, "Drop")) == 2


H2_IN_BADMAIL = {
    # what is still in Queue when the ready file is for bob, who failed; whether ann is owed a copy
    "message": ({"eml": ours(BOB, sender="")}, False),
    "mixed message": ({"eml": ours(BOB, ANN, sender="")}, True),
    "message, bob settled": ({"eml": ours(f"-{BOB}", ANN, sender="")}, True),
    "deferred message": ({"eml": ours(BOB, sender=""), "json": b'{"attempts": 1}'}, False),
    "nothing": ({}, False),
}


@pytest.mark.parametrize("source", H2_IN_BADMAIL)
def test_h2_in_badmail_is_finished(source, remote, scripted):
    sources, ann_is_owed = H2_IN_BADMAIL[source]
    host = scripted(remote.first, remote.port)
    mailroot, name = remote.mailroot.create(), new_id()
    for extension, content in sources.items():
        lay(mailroot, "Queue", f"{name}.{extension}", content)
    properties = json.dumps({"id": name, "reason": "ndrOfDsn", "recipients": [BOB]}).encode()
    lay(mailroot, "Badmail", f"{name}.bdp", properties)
    lay(mailroot, "Badmail", f"{name}.bdr", b"bob@example.net: 550 5.1.1 nobody here\n")
    ready = ours(BOB, sender="", body="ready\r\n")
    lay(mailroot, "Badmail", f".{name}.ready", ready)
    finish(mailroot)
    (bad,) = mailroot.files("Badmail", "*.bad")
    assert bad.stem == name and bad.read_bytes() == ready
    assert names(mailroot, "Badmail") == [f"{name}.bad", f"{name}.bdp", f"{name}.bdr"]
    assert bad.with_suffix(".bdp").read_bytes() == properties
    assert not names(mailroot, "Queue") and not host.taken
    assert len(names(mailroot, "Drop")) == (1 if ann_is_owed else 0)


def test_d_and_b_stay_as_they_are(mailroot):
    serve = mailroot.serve()
    mailroot.submit("good.eml", message(to=ANN))
    mailroot.submit("bad.eml", b"Subject: to nobody\r\n\r\nHello.\r\n")
    mailroot.wait_files("Drop")
    mailroot.wait_files("Badmail", pattern="*.bad")
    mailroot.wait_idle()

    def shown():
        paths = [*mailroot.folder("Drop").iterdir(), *mailroot.folder("Badmail").iterdir()]
        return {path: (path.stat().st_ino, path.read_bytes()) for path in paths}

    before = shown()
    assert len(before) == 4
    serve.kill()
    serve = mailroot.serve()
    one_later_passes(mailroot)
    assert serve.stop() == 0
    after = shown()
    assert {path: after.get(path) for path in before} == before and len(after) == 5


# --- killed at every step ---

# Laid before libc's, these count what is done to files, over all threads, once the file ARMED exists, and end the
# process instead of the step of that number. strace could, but counts each thread's calls by themselves.
MORTAL = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void step(void) {
    static int count;
    if (access(getenv("ARMED"), F_OK) != 0) return;
    if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) < atoi(getenv("LAST_STEP"))) return;
    kill(getpid(), SIGKILL);
}

static int is_file(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

int renameat(int from, const char* name, int to, const char* new_name) {
    step();
    return syscall(SYS_renameat2, from, name, to, new_name, 0);
}
int renameat2(int from, const char* name, int to, const char* new_name, unsigned flags) {
    step();
    return syscall(SYS_renameat2, from, name, to, new_name, flags);
}
int unlinkat(int folder, const char* name, int flags) {
    step();
    return syscall(SYS_unlinkat, folder, name, flags);
}
int fsync(int fd) {
    step();
    return syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
    step();
    return syscall(SYS_fdatasync, fd);
}
int futimens(int fd, const struct timespec times[2]) {
    step();
    return syscall(SYS_utimensat, fd, NULL, times, 0);
}
ssize_t write(int fd, const void* octets, size_t size) {
    if (is_file(fd)) step();
    return syscall(SYS_write, fd, octets, size);
}
ssize_t pwrite(int fd, const void* octets, size_t size, off_t at) {
    step();
    return syscall(SYS_pwrite64, fd, octets, size, at);
}
ssize_t pwrite64(int fd, const void* octets, size_t size, off64_t at) {
    step();
    return syscall(SYS_pwrite64, fd, octets, size, at);
}
"""


@pytest.fixture(scope="module")
def mortal_library():
    with tempfile.TemporaryDirectory(prefix="mailroot-e2e-") as folder:
        library = pathlib.Path(folder) / "mortal.so"
        try:
            subprocess.run(
                ["cc", "-xc", "-shared", "-fPIC", "-O1", "-o", library, "-"], input=MORTAL, text=True, check=True
            )
        except FileNotFoundError:
            pytest.skip("to end the program at each step needs a C compiler")
        yield library


@pytest.fixture
def armed(workspace):
    return workspace / "armed"


@pytest.fixture
def lives(mortal_library, armed, monkeypatch):
    """with lives(step): what is started in it dies at that step, counted from the moment `armed` is there."""

    @contextlib.contextmanager
    def life(step):
        with monkeypatch.context() as patch:
            preload(patch, mortal_library)
            patch.setenv("ARMED", str(armed))
            patch.setenv("LAST_STEP", str(step))
            yield

    return life


KILLED = -signal.SIGKILL


def at_every_step(mailroot, lives, run, stride=1):
    """Calls run(life), which gives an exit code, `stride` later each time until it lives; a look after each."""
    for step in itertools.count(1, stride):
        for folder in ("Pickup", "Queue", "Drop", "Badmail"):
            for path in mailroot.folder(folder).iterdir():
                path.unlink()
        code = run(lives(step))
        yield states(mailroot)
        if code != KILLED:
            assert step > 5, "the library did not get hold of the steps"
            return


def command(mailroot, armed, *arguments):
    """A run of one command."""

    def run(life):
        armed.touch()
        with life:
            return mailroot.run(*arguments).returncode

    return run


def served(mailroot, armed, submit, done):
    """A run of serve, from submit(serve) until done()."""

    def run(life):
        armed.unlink(missing_ok=True)
        with life:
            serve = mailroot.serve()
        armed.touch()
        submit(serve)
        wait_for(lambda: not serve.running() or done(), "serve to finish or to die")
        return serve.stop()

    return run


def is_settled(mailroot, recipient):
    """Whether nothing on disk says any more that the recipient is owed the message."""
    paths = [*mailroot.files("Queue", "*.eml"), *mailroot.files("Pickup")] or mailroot.files("Queue", "*.pickup")
    return not any(re.search(rb"(?m)^x-receiver: <?" + recipient.encode(), path.read_bytes()) for path in paths)


class AnswersLast(Scripted):
    """Takes a message once its other copy is in Drop: so the order of steps is the same at every run. A while is
    enough, for a copy that a process left half handed over may have to wait for us."""

    def __init__(self, mailroot, address, port):
        self.mailroot = mailroot
        super().__init__(address, port)

    async def handle_DATA(self, server, session, envelope):
        deadline = time.monotonic() + 2
        while "D" not in states(self.mailroot) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return await super().handle_DATA(server, session, envelope)


@pytest.fixture
def answers_last(remote):
    host = AnswersLast(remote.mailroot.create(), remote.first, remote.port)
    yield host
    host.leave()


class Deliveries:
    """To bob, at his host: one of each message, or two where we died before we had noted the first."""

    def __init__(self, host):
        self.host, self.twice = host, 0

    def note_death(self, mailroot):
        self.may_come_again = not is_settled(mailroot, BOB)

    def check(self):
        count = self.host.recipients().count(BOB)
        assert count == 1 or (count == 2 and self.may_come_again), (count, self.may_come_again)
        self.twice += count == 2
        self.host.taken.clear()


MIXED = envelope_block("app@local.example", ANN, BOB) + message(body="mixed\r\n")


def check_one_in_drop(mailroot, end):
    (path,) = mailroot.files("Drop")
    block, content = split_block(path.read_bytes())
    assert block == ["x-sender: app@local.example", f"x-receiver: {ANN}"] and content.endswith(end), "whole"


def killed_over_a_mixed_message(mailroot, lives, run, deliveries, stride=1):
    """Gives the states seen."""
    seen = set()
    for found in at_every_step(mailroot, lives, run, stride):
        seen |= found
        deliveries.note_death(mailroot)
        finish(mailroot)
        check_one_in_drop(mailroot, b"\r\n\r\nmixed\r\n")
        deliveries.check()
        assert not mailroot.files("Badmail")
    return seen


def mixed_is_done(mailroot):
    return "D" in states(mailroot) and not states(mailroot) & {"P1", "P2", "Q2", "Q3"}


def from_pickup(mailroot, armed):
    return served(
        mailroot, armed,
        lambda serve: mailroot.submit("x.eml", MIXED),
        lambda: mixed_is_done(mailroot),
    )  # fmt: skip


def test_killed_at_every_step_of_a_mixed_message(remote, answers_last, lives, armed):
    deliveries = Deliveries(answers_last)
    seen = killed_over_a_mixed_message(remote.mailroot, lives, from_pickup(remote.mailroot, armed), deliveries)
    assert {"P1", "P2", "Q1", "Q2", "H1 in Drop", "H2 in Drop", "D"} <= seen
    assert deliveries.twice > 0, "no kill came between the host's 250 and our mark"


def test_killed_at_steps_of_a_mixed_message_whose_parts_race(remote, scripted, lives, armed):
    """The order of the steps is another at every run, so that no one run need meet them all."""
    mailroot = remote.mailroot.create()
    deliveries = Deliveries(scripted(remote.first, remote.port))
    run = from_pickup(mailroot, armed)
    seen = killed_over_a_mixed_message(mailroot, lives, run, deliveries, stride=length(3, 1))
    assert {"P2", "D"} <= seen


def test_killed_at_every_step_of_a_mixed_message_over_smtp(remote, answers_last, lives, armed):
    mailroot, deliveries = remote.mailroot, Deliveries(answers_last)
    seen, answered = set(), []

    def submit(serve):
        answered.append(False)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            with serve.smtp() as client:
                client.sendmail("app@local.example", [ANN, BOB], message(body="mixed\r\n"))
                answered[-1] = True

    for found in at_every_step(mailroot, lives, served(mailroot, armed, submit, lambda: mixed_is_done(mailroot))):
        seen |= found
        accepted = answered[-1] or bool(found & {"Q2", "Q3", "D"})
        deliveries.note_death(mailroot)
        finish(mailroot)
        if accepted:
            check_one_in_drop(mailroot, b"\r\n\r\nmixed\r\n")
            deliveries.check()
        else:
            assert not mailroot.files("Drop") and not answers_last.taken
        assert not mailroot.files("Badmail")
    assert {"Q1", "Q2", "H1 in Drop", "H2 in Drop", "D"} <= seen
    assert set(answered) == {False, True} and deliveries.twice > 0


def test_killed_at_every_step_of_a_local_pickup_file(mailroot, lives, armed):
    mailroot.create()
    drain, seen = command(mailroot, armed, "pickup-drain"), set()

    def run(life):
        mailroot.submit("x.eml", envelope_block("app@local.example", ANN) + message(body="local\r\n"))
        return drain(life)

    for found in at_every_step(mailroot, lives, run):
        seen |= found
        finish(mailroot)
        check_one_in_drop(mailroot, b"\r\n\r\nlocal\r\n")
        assert not mailroot.files("Badmail")
    assert {"P1", "P2", "H1 in Drop", "H2 in Drop", "D"} <= seen


def test_killed_at_every_step_of_a_deferral(remote, scripted, lives, armed):
    mailroot = remote.mailroot.create()
    mailroot.configure(delivery={"retry": ["1h"]})
    host = scripted(remote.first, remote.port)
    drain, seen = command(mailroot, armed, "pickup-drain"), set()

    def run(life):
        host.refuse[BOB] = LATER
        mailroot.submit("x.eml", envelope_block("app@local.example", BOB) + message(body="later\r\n"))
        return drain(life)

    for found in at_every_step(mailroot, lives, run):
        seen |= found
        host.refuse.clear()
        serve = mailroot.serve()
        wait_for(lambda: not states(mailroot) & {"P1", "P2"}, "it to be in Queue or gone")
        assert serve.stop() == 0
        mailroot.run("queue-retry", "--all")
        assert host.recipients() == [BOB] and host.taken[0].content.endswith(b"\r\n\r\nlater\r\n")
        assert not states(mailroot) - {"Q4", "Q1"} and not mailroot.files("Badmail")
        host.taken.clear()
    assert {"P1", "P2", "Q1", "Q2", "Q3"} <= seen


def test_killed_at_every_step_of_a_retry(remote, answers_last, lives, armed):
    mailroot, deliveries = remote.mailroot, Deliveries(answers_last)
    retry = command(mailroot, armed, "queue-retry", "--all")

    def run(life):
        name = new_id()
        lay(mailroot, "Queue", f"{name}.eml", ours(BOB, ANN, body="mixed\r\n"))
        lay(mailroot, "Queue", f"{name}.json", b'{"attempts": 1}')
        return retry(life)

    seen = killed_over_a_mixed_message(mailroot, lives, run, deliveries)
    assert {"Q3", "Q4", "H1 in Drop", "H2 in Drop", "D"} <= seen
    assert deliveries.twice > 0


def test_killed_at_every_step_of_a_retry_beside_a_running_serve(remote, answers_last, lives, armed, workspace):
    """What the one leaves the other finishes, without a start of its own."""
    mailroot, host = remote.mailroot, answers_last
    serve = mailroot.serve()
    retry, seen = command(mailroot, armed, "queue-retry", "--all"), set()

    def run(life):
        name = f"{new_id()}.eml"
        draft = workspace / name
        draft.write_bytes(ours(BOB, ANN, body="mixed\r\n"))
        in_an_hour = time.time() + 3600
        os.utime(draft, (in_an_hour, in_an_hour))
        draft.rename(mailroot.folder("Queue") / name)
        return retry(life)

    for found in at_every_step(mailroot, lives, run):
        seen |= found
        wait_for(lambda: not states(mailroot) & {"H2 in Drop"}, "the hand-over to be finished")
        with contextlib.suppress(ValueError, FileNotFoundError):
            (path,) = mailroot.files("Queue", "*.eml")
            path.touch()
        wait_settled(mailroot)
        check_one_in_drop(mailroot, b"\r\n\r\nmixed\r\n")
        assert host.recipients() in ([BOB], [BOB, BOB]), "a second time where its 250 was not noted"
        host.taken.clear()
    assert {"Q2", "H1 in Drop", "D"} <= seen
    assert serve.stop() == 0


def test_killed_at_every_step_of_a_failure(remote, scripted, lives, armed):
    """Nobody can be told of it, for the message is a report itself: it goes to Badmail, for bob alone."""
    mailroot = remote.mailroot.create()
    host = scripted(remote.first, remote.port, refuse={BOB: NEVER})
    retry, seen = command(mailroot, armed, "queue-retry", "--all"), set()

    def run(life):
        lay(mailroot, "Queue", f"{new_id()}.eml", ours(BOB, ANN, sender="", body="mixed\r\n"))
        return retry(life)

    for found in at_every_step(mailroot, lives, run):
        seen |= found
        finish(mailroot)
        (path,) = mailroot.files("Drop")
        assert split_block(path.read_bytes())[0] == ["x-sender: <>", f"x-receiver: {ANN}"]
        (bad,) = mailroot.files("Badmail", "*.bad")
        block, content = split_block(bad.read_bytes())
        assert block == ["x-sender: <>", f"x-receiver: <{BOB}>"] and content.endswith(b"\r\n\r\nmixed\r\n")
        assert "nobody here" in bad.with_suffix(".bdr").read_text() and bad.with_suffix(".bdp").exists()
        assert not host.taken
    assert {"Q2", "H1 in Drop", "H2 in Drop", "D", "H1 in Badmail", "H2 in Badmail", "B"} <= seen


def test_killed_at_every_step_of_a_report(remote, scripted, lives, armed):
    """The sender is told of the failure; a second time where we died before the first was noted."""
    mailroot = remote.mailroot.create()
    scripted(remote.first, remote.port, refuse={BOB: NEVER})
    retry, seen = command(mailroot, armed, "queue-retry", "--all"), set()

    def run(life):
        lay(mailroot, "Queue", f"{new_id()}.eml", ours(BOB))
        return retry(life)

    twice = 0
    for found in at_every_step(mailroot, lives, run):
        seen |= found
        told, owed = len(mailroot.files("Drop")), not is_settled(mailroot, BOB)
        finish(mailroot)
        reports = mailroot.files("Drop")
        assert len(reports) == 1 or (len(reports) == 2 and told == 1 and owed)
        twice += len(reports) == 2
        for report in reports:
            text = report.read_text()
            assert "x-receiver: app@local.example" in text and "Action: failed" in text and "nobody here" in text
        assert not mailroot.files("Badmail")
    assert {"Q2", "H1 in Drop", "D"} <= seen and twice > 0


def test_killed_at_every_step_of_a_file_that_is_not_mail(mailroot, lives, armed):
    mailroot.create()
    drain, seen = command(mailroot, armed, "pickup-drain"), set()
    content = b"Subject: to nobody\r\n\r\nHello.\r\n"

    def run(life):
        mailroot.submit("x.eml", content)
        return drain(life)

    for found in at_every_step(mailroot, lives, run):
        seen |= found
        finish(mailroot)
        (bad,) = mailroot.files("Badmail", "*.bad")
        assert bad.read_bytes() == content
        assert bad.with_suffix(".bdp").exists() and bad.with_suffix(".bdr").exists()
        assert not mailroot.files("Drop")
    assert {"P1", "P2", "B"} <= seen


def test_killed_at_every_step_of_a_recovery(remote, scripted, lives, armed):
    mailroot = remote.mailroot.create()
    deliveries, seen = Deliveries(scripted(remote.first, remote.port)), set()
    retry = command(mailroot, armed, "queue-retry", "--all")

    def run(life):
        mixed, failed = new_id(), new_id()
        lay(mailroot, "Queue", f"{mixed}.eml", ours(BOB, ANN))
        lay(mailroot, "Drop", f".{mixed}.ready", envelope_block("app@local.example", ANN) + message(body="ready\r\n"))
        lay(mailroot, "Queue", f"{failed}.eml", ours("eve@example.net", sender=""))
        lay(mailroot, "Queue", f"{failed}.json", b'{"attempts": 1}')
        lay(mailroot, "Badmail", f"{failed}.bdp", json.dumps({"id": failed, "reason": "ndrOfDsn"}).encode())
        lay(mailroot, "Badmail", f"{failed}.bdr", b"nobody here\n")
        lay(mailroot, "Badmail", f".{failed}.ready", ours("eve@example.net", sender=""))
        return retry(life)

    for found in at_every_step(mailroot, lives, run):
        seen |= found
        deliveries.note_death(mailroot)
        finish(mailroot)
        check_one_in_drop(mailroot, b"\r\n\r\nready\r\n")
        assert len(mailroot.files("Badmail", "*.bad")) == 1
        assert "eve@example.net" not in deliveries.host.attempts
        deliveries.check()
    assert {"H2 in Drop", "H2 in Badmail", "D", "B"} <= seen
