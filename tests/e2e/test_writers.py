"""Writers as they are: however a program puts a file into Pickup, it arrives once, whole, and hinders no other."""

import collections
import contextlib
import fcntl
import json
import os
import random
import socket
import stat
import subprocess
import threading
import time

import pytest

from harness import mailroot as harness_mailroot
from harness.length import length
from harness.mail import message, split_block, without_trace
from harness.waiting import wait_for

ANN = "ann@local.example"
GOOD = message(to=ANN)
MANY = length(3_000, 20_000)
PATIENCE = 240


def pickup(mailroot, name="x.eml"):
    mailroot.folder("Pickup").mkdir(exist_ok=True)
    return mailroot.folder("Pickup") / name


def another_passes(mailroot, name="other.eml"):
    """A file that came later was taken, so that one that still lies there was left on purpose."""
    before = len(mailroot.files("Drop"))
    mailroot.submit(name, GOOD)
    mailroot.wait_files("Drop", before + 1)


def look_passes(mailroot):
    """A file that no event tells of was taken, so that the whole folder was looked at."""
    before = len(mailroot.files("Drop"))
    draft = mailroot.root / ".draft"
    draft.write_bytes(GOOD)
    os.link(draft, pickup(mailroot, "unheard.eml"))
    draft.unlink()
    mailroot.wait_files("Drop", before + 1)


def subjects(mailroot):
    """How often each stands in Drop."""
    return collections.Counter(
        line.removeprefix("Subject: ")
        for path in mailroot.files("Drop", "*.eml")
        for line in path.read_text(errors="replace").splitlines()
        if line.startswith("Subject: ")
    )


def wait_drops(mailroot, count, seconds=PATIENCE):
    """For many: counts names instead of looking at files."""

    def shown():
        return sum(not name.startswith(".") for name in os.listdir(mailroot.folder("Drop")))

    wait_for(lambda: shown() >= count, f"{count} files in Drop", seconds)


def bodies(mailroot):
    return [without_trace(split_block(path.read_bytes())[1]) for path in mailroot.files("Drop")]


# --- .NET ---


class DotNetWriter:
    """What File.Create and StreamWriter do on Linux: create, take a shared lock, write, close."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)

    def lock(self):
        """Where it is not had at once, .NET throws, and the application has sent no mail."""
        fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def write(self, octets):
        os.write(self.fd, octets)

    def close(self):
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


def test_a_dotnet_writer_may_pause_for_longer_than_a_file_settles(mailroot):
    mailroot.configure(pickup={"settle": "100ms"})
    mailroot.serve()
    path = pickup(mailroot)
    writer = DotNetWriter(path)
    writer.lock()
    for number in range(3):
        writer.write(GOOD[number * len(GOOD) // 3 : (number + 1) * len(GOOD) // 3])
        time.sleep(0.3)  # the pause
        look_passes(mailroot)
        assert path.exists()
    writer.close()
    mailroot.wait_files("Drop", 4)
    assert bodies(mailroot) == [GOOD] * 4 and not path.exists()


def test_a_dotnet_writer_gets_its_lock_on_a_file_that_lay_empty(mailroot):
    mailroot.configure(pickup={"settle": "50ms", "rescan": "50ms"})
    mailroot.serve()
    path = pickup(mailroot)
    writer = DotNetWriter(path)
    for _ in range(3):
        look_passes(mailroot)
    writer.lock()
    writer.write(GOOD)
    writer.close()
    mailroot.wait_files("Drop", 4)
    assert bodies(mailroot) == [GOOD] * 4


def test_many_dotnet_writers_get_their_locks_while_the_folder_is_looked_at(mailroot):
    mailroot.configure(pickup={"settle": "10ms", "rescan": "10ms"})
    mailroot.serve()
    refused = []

    def write(number):
        for file in range(50):
            writer = DotNetWriter(pickup(mailroot, f"{number}-{file}.eml"))
            try:
                time.sleep(0.002)  # the window between open and lock
                writer.lock()
                writer.write(message(f"{number}-{file}", to=ANN))
            except OSError as error:
                refused.append(error)
            writer.close()

    writers = [threading.Thread(target=write, args=[n]) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not refused
    wait_drops(mailroot, 200)
    assert subjects(mailroot) == {f"{number}-{file}": 1 for number in range(4) for file in range(50)}


# --- everyone else ---


def test_a_slow_writer_without_a_lock_is_waited_for(mailroot):
    """Its pauses are shorter than pickup.settle; each other file that passes is one pause."""
    mailroot.configure(pickup={"settle": "5s"})
    mailroot.serve()
    path = pickup(mailroot)
    with path.open("xb", buffering=0) as writer:
        for number in range(5):
            writer.write(GOOD[number * len(GOOD) // 5 : (number + 1) * len(GOOD) // 5])
            another_passes(mailroot, f"pause{number}")
            assert path.exists()
    mailroot.wait_files("Drop", 6)
    assert bodies(mailroot) == [GOOD] * 6


def in_pieces(path, content, _):
    with path.open("xb", buffering=0) as file:
        for at in range(0, len(content), 50):
            file.write(content[at : at + 50])


def renamed_from(draft_name):
    def write(path, content, _):
        draft = path.parent / draft_name
        draft.write_bytes(content)
        draft.rename(path)

    return write


def moved_in(path, content, elsewhere):
    elsewhere.write_bytes(content)
    elsewhere.rename(path)


def by_command(*command):
    """Of a file that was last written long ago."""

    def write(path, content, elsewhere):
        elsewhere.write_bytes(content)
        os.utime(elsewhere, (1_000_000_000, 1_000_000_000))
        subprocess.run([*command, elsewhere, path], check=True)

    return write


def linked_in(path, content, elsewhere):
    elsewhere.write_bytes(content)
    os.link(elsewhere, path)
    elsewhere.unlink()


def named_last(path, content, _):
    fd = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
    os.write(fd, content)
    # With a folder given, even one that an absolute path has no use for, the link is followed.
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)
    os.close(fd)


HEARD = {
    "in pieces": in_pieces,
    "from .tmp": renamed_from("x.tmp"),
    "from .part": renamed_from("x.eml.part"),
    "from a hidden name": renamed_from(".x.eml"),
    "moved in": moved_in,
    "cp": by_command("cp"),
    "cp -p": by_command("cp", "-p"),
    "cat": by_command("sh", "-c", 'cat "$1" >"$2"', "sh"),
    "dd": by_command("sh", "-c", 'dd if="$1" of="$2" bs=64 status=none', "sh"),
}
FOUND = {"linked in": linked_in, "named last": named_last}


def write_by(ways, mailroot, elsewhere):
    for way, write in ways.items():
        write(pickup(mailroot, f"by {way}.eml"), message(way, to=ANN), elsewhere)


def test_a_file_is_taken_at_once_however_it_was_written(mailroot, workspace):
    mailroot.configure(pickup={"rescan": "1h", "settle": "1h"})
    mailroot.serve()
    write_by(HEARD, mailroot, workspace / "draft")
    mailroot.wait_files("Drop", len(HEARD), seconds=3)
    assert subjects(mailroot) == {way: 1 for way in HEARD}
    assert sorted(bodies(mailroot)) == sorted(message(way, to=ANN) for way in HEARD)


def test_a_file_that_comes_without_an_event_is_found(mailroot, workspace):
    mailroot.serve()
    write_by(FOUND, mailroot, workspace / "draft")
    mailroot.wait_files("Drop", len(FOUND))
    assert subjects(mailroot) == {way: 1 for way in FOUND}


def test_a_file_that_is_written_over_under_its_name_is_a_new_one(mailroot):
    """A writer that has one name for all its mail waits until the last one went."""
    mailroot.serve()
    path = pickup(mailroot, "mail.eml")
    for number in range(20):
        path.write_bytes(message(f"number {number}", to=ANN))
        wait_for(lambda: not path.exists(), "the file to be taken")
    wait_drops(mailroot, 20)
    assert subjects(mailroot) == {f"number {number}": 1 for number in range(20)}


def test_a_file_may_be_opened_again_while_serve_asks_who_writes_it(mailroot, workspace, monkeypatch):
    """The question is a lease, and a writer breaks it; strace makes the moment long in which it can."""
    strace = ["strace", "-D", "-q", "-f", "-o", "/dev/null"]
    strace += ["-e", "trace=fcntl", "-e", "inject=fcntl:delay_exit=50000"]
    script = workspace / "slowly"
    script.write_text(f'#!/bin/sh\nexec {" ".join(strace)} {harness_mailroot.PROGRAM} "$@"\n')
    script.chmod(0o755)
    try:
        subprocess.run([*strace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("to slow the program down needs strace, and leave to trace")
    monkeypatch.setattr(harness_mailroot, "PROGRAM", str(script))
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    serve = mailroot.serve()
    for number in range(3):
        path = pickup(mailroot, f"{number}.eml")
        linked_in(path, message(f"number {number}", to=ANN), workspace / "draft")
        deadline = time.monotonic() + 5
        with contextlib.suppress(FileNotFoundError):
            while time.monotonic() < deadline:
                os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
        assert serve.running(), f"it ended with {serve.process.returncode}"
    wait_drops(mailroot, 3)
    assert subjects(mailroot) == {f"number {number}": 1 for number in range(3)}


NAMES = [
    b"two words.eml",
    b" leading and trailing ",
    b"-rf",
    b"--help.eml",
    b"new\nline\n.eml",
    b"tab\tand\x1b[31mcolour",
    b"invalid \xff\xfe\xc3 UTF-8.eml",
    "schön, 日本.eml".encode(),
    b"n" * 251 + b".eml",
    b"\xff" * 255,
    b"'quoted\".eml",
    b"back\\slash $(id) `id` %s {} {0}",
    b"x.EML",
    b"no extension",
    b"*",
]


@pytest.mark.parametrize("when", ["before serve starts", "while it runs"])
def test_a_file_may_have_any_name(when, mailroot):
    if when == "while it runs":
        serve = mailroot.serve()
    folder = os.fsencode(pickup(mailroot).parent)
    for number, name in enumerate(NAMES):
        with open(os.path.join(folder, name), "xb") as file:
            file.write(message(f"number {number}", to=ANN))
    if when == "before serve starts":
        serve = mailroot.serve()
    wait_drops(mailroot, len(NAMES))
    assert subjects(mailroot) == {f"number {number}": 1 for number in range(len(NAMES))}
    assert serve.stop() == 0
    assert all(line.startswith("mailroot: ") for line in serve.said), "no name makes a line of its own"
    assert not any("\x1b" in line for line in serve.said)


def test_a_file_that_is_not_mail_is_named_in_badmail_whatever_its_name(mailroot):
    mailroot.serve()
    folder = os.fsencode(pickup(mailroot).parent)
    for name in NAMES[4:7]:
        with open(os.path.join(folder, name), "xb") as file:
            file.write(b"Subject: to nobody\r\n\r\nHello.\r\n")
    for bad in mailroot.wait_files("Badmail", 3, "*.bad"):
        assert json.loads(bad.with_suffix(".bdp").read_text())["file"]
        assert bad.with_suffix(".bdr").read_text()
    assert len(mailroot.report("badmail-report")["messages"]) == 3


# --- what is no file to be taken ---


def symlink(path, workspace):
    (workspace / "elsewhere.eml").write_bytes(GOOD)
    path.symlink_to(workspace / "elsewhere.eml")


def dangling_symlink(path, workspace):
    path.symlink_to(workspace / "nowhere.eml")


def hard_link(path, workspace):
    (workspace / "elsewhere.eml").write_bytes(GOOD)
    os.link(workspace / "elsewhere.eml", path)


def fifo(path, _):
    os.mkfifo(path)


def unix_socket(path, _):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


def directory(path, _):
    path.mkdir()
    (path / "inside.eml").write_bytes(GOOD)


def unusable(mailroot):
    return {entry["file"]: entry["reason"] for entry in mailroot.report("queue-report")["unusable"]}


def times_named(serve, name):
    return sum(f"left where it is: {name}: " in line for line in serve.said)


@pytest.mark.parametrize("make", [symlink, dangling_symlink, hard_link, fifo, unix_socket, directory])
def test_what_is_no_plain_file_is_left_and_named_once(make, mailroot, workspace):
    mailroot.configure(pickup={"rescan": "50ms"})
    path = pickup(mailroot)
    make(path, workspace)
    before = path.lstat()
    serve = mailroot.serve()
    for _ in range(4):
        look_passes(mailroot)
    if make is not dangling_symlink:
        os.utime(path)  # an event for it, not for what it points to
    another_passes(mailroot)
    assert (path.lstat().st_ino, stat.S_IFMT(path.lstat().st_mode)) == (before.st_ino, stat.S_IFMT(before.st_mode))
    assert unusable(mailroot)[f"Pickup/{path.name}"]
    assert serve.stop() == 0
    assert times_named(serve, path.name) == 1
    if make in (symlink, hard_link):
        assert (workspace / "elsewhere.eml").read_bytes() == GOOD
    assert not mailroot.files("Badmail") and not mailroot.files("Queue")


def test_a_hard_link_is_taken_when_it_is_the_only_name(mailroot, workspace):
    mailroot.serve()
    path = pickup(mailroot)
    hard_link(path, workspace)
    look_passes(mailroot)
    look_passes(mailroot)
    assert path.exists()
    (workspace / "elsewhere.eml").unlink()
    mailroot.wait_files("Drop", 3)
    assert not path.exists() and not unusable(mailroot)


def test_an_odd_name_is_reported_as_json(mailroot):
    mailroot.create()
    for name in NAMES[4:7]:
        os.mkfifo(os.path.join(os.fsencode(mailroot.folder("Pickup")), name))
    assert len(unusable(mailroot)) == 3


# --- of another owner ---


@pytest.fixture
def unprivileged(mailroot):
    """A mailroot whose owner is not root, so that serve is not either."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "nobody:", mailroot.root], check=True)
    return mailroot


@pytest.fixture
def not_root(unprivileged):
    """The same; the files that a test writes there are root's."""
    if os.geteuid() != 0:
        pytest.skip("files of another owner need root")
    return unprivileged


def write_with_mode(path, content, mode):
    """The mode is there before the file is closed, and so before it is taken."""
    with path.open("xb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)


def test_a_file_of_another_owner_is_taken_where_it_can_be_read(not_root):
    serve = not_root.serve()
    assert not_root.folder("Pickup").owner() == "nobody"
    path = pickup(not_root)
    write_with_mode(path, GOOD, 0o644)
    not_root.wait_files("Drop")
    assert bodies(not_root) == [GOOD] and not path.exists()
    assert serve.stop() == 0
    # Now unheard: no lease is given for another's file, so that it has to settle.
    write_with_mode(path, GOOD, 0o644)
    not_root.serve()
    not_root.wait_files("Drop", 2)
    assert bodies(not_root) == [GOOD] * 2 and not path.exists()


def test_a_file_that_serve_cannot_read_is_left_and_named_once(not_root):
    not_root.configure(pickup={"rescan": "50ms"})
    serve = not_root.serve()
    path = pickup(not_root, "secret.eml")
    write_with_mode(path, GOOD, 0o600)
    for _ in range(4):
        look_passes(not_root)
    assert path.read_bytes() == GOOD and path.owner() == "root"
    assert "Permission denied" in unusable(not_root)["Pickup/secret.eml"]
    wait_for(lambda: times_named(serve, "secret.eml"), "the line that names it")
    path.chmod(0o644)
    not_root.wait_files("Drop", 5)
    assert not path.exists() and not unusable(not_root)
    assert serve.stop() == 0
    assert times_named(serve, "secret.eml") == 1


# --- many, and in order ---


def write_many(mailroot, numbers):
    for number in numbers:
        pickup(mailroot, f"{number}.eml").write_bytes(message(f"number {number}", to=ANN))


def each_once(mailroot):
    wait_drops(mailroot, MANY)
    mailroot.wait_idle(PATIENCE)
    assert subjects(mailroot) == {f"number {number}": 1 for number in range(MANY)}
    assert not mailroot.files("Badmail")


def test_thousands_at_once_are_each_delivered_once(mailroot):
    serve = mailroot.serve()
    writers = [threading.Thread(target=write_many, args=[mailroot, range(n, MANY, 4)]) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    each_once(mailroot)
    assert serve.stop() == 0


def test_thousands_that_came_while_serve_was_down_are_each_delivered_once(mailroot):
    write_many(mailroot, range(MANY))
    mailroot.serve()
    each_once(mailroot)


def write_one_after_the_other(mailroot, count):
    """Each later than the one before it by the file system's clock, under names that say nothing of it."""
    last = 0
    for number in range(count):
        path = pickup(mailroot, f"{random.randrange(16**8):08x}.eml")
        path.write_bytes(message(f"number {number}", to=ANN))
        while path.stat().st_mtime_ns <= last:
            path.touch()
        last = path.stat().st_mtime_ns


def test_what_lies_in_pickup_is_taken_in_the_order_of_its_arrival(mailroot):
    write_one_after_the_other(mailroot, 100)
    mailroot.serve()
    wait_drops(mailroot, 100)
    mailroot.wait_handed_over()
    # An id is given when a file is taken, and ids rise.
    by_id = [line for path in mailroot.files("Drop") for line in path.read_text().splitlines() if "Subject: " in line]
    assert by_id == [f"Subject: number {number}" for number in range(100)]


def poisonous(path):
    write_with_mode(path, b"Subject: to nobody\r\n\r\nHello.\r\n", 0o644)


def unreadable(path):
    write_with_mode(path, GOOD, 0)


@pytest.mark.parametrize("spoil", [poisonous, unreadable])
def test_a_slow_and_a_spoilt_file_hold_up_none_of_the_others(spoil, unprivileged):
    """They are the oldest."""
    mailroot = unprivileged
    mailroot.serve().kill()
    spoil(pickup(mailroot, "spoilt.eml"))
    writer = DotNetWriter(pickup(mailroot, "slow.eml"))
    writer.lock()
    content = message("slow", body="x" * 70 + "\r\n" + "the end\r\n", to=ANN)
    writer.write(content[:100])
    write_many(mailroot, range(50))
    mailroot.serve()
    wait_drops(mailroot, 50)
    writer.write(content[100:200])
    write_many(mailroot, range(50, 100))
    wait_drops(mailroot, 100)
    assert subjects(mailroot) == {f"number {number}": 1 for number in range(100)}
    writer.write(content[200:])
    writer.close()
    wait_drops(mailroot, 101)
    assert content in bodies(mailroot)
