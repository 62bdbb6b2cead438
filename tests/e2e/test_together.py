"""Several processes work on one mailroot, and processes die: nothing is lost, nothing is sent twice."""

import fcntl
import os
import pathlib
import subprocess
from collections import Counter

import pytest

from harness.load import Clients, Ledger, key_of, shown, wait_settled
from harness.mail import envelope_block, message
from harness.mailroot import PROGRAM
from harness.waiting import wait_for


def subjects(contents):
    return Counter(
        line for c in contents for line in c.decode(errors="replace").splitlines() if line.startswith("Subject: ")
    )


def test_serve_and_queue_retry_at_once_deliver_once(remote, scripted, sink):
    refusing = scripted(remote.first, remote.port, on_mail="451 4.3.2 not now")
    remote.mailroot.configure(delivery={"retry": ["1s"]})
    serve = remote.mailroot.serve()
    for number in range(60):
        block = envelope_block("app@local.example", f"r{number}@example.net")
        remote.mailroot.submit(f"{number}.eml", block + message(f"number {number}"))
    wait_for(lambda: len(remote.mailroot.files("Queue", "*.json")) == 60, "60 deferred messages", 60)
    refusing.leave()
    taken = sink(remote.first, remote.port)
    retries = [
        subprocess.Popen(
            [PROGRAM, "--root", remote.mailroot.root, "queue-retry", "--all"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]  # fmt: skip
    for retry in retries:
        assert retry.wait(timeout=60) in (0, 75)
    remote.mailroot.wait_idle()
    counted = Counter(r for dump in taken.dumps() for r in dump.recipients)
    assert counted == {f"r{number}@example.net": 1 for number in range(60)}
    assert serve.stop() == 0


def test_serve_and_pickup_drain_at_once_deliver_once(mailroot):
    serve = mailroot.serve()
    for number in range(60):
        mailroot.submit(f"{number}.eml", message(f"number {number}", to="ann@local.example"))
    mailroot.run("pickup-drain")
    mailroot.wait_idle()
    counted = subjects(path.read_bytes() for path in mailroot.wait_files("Drop", 60))
    assert set(counted.values()) == {1} and len(counted) == 60
    assert serve.stop() == 0


def kill_under_load(mailroot, kind):
    """The keys of all messages that were answered 250 before kill -9."""
    serve = mailroot.serve()
    ledger = Ledger([kind])
    clients = Clients(serve, ledger, seed=0, count=6)
    wait_for(lambda: len(ledger.kept) >= 150, "150 messages to be answered", 60)
    serve.kill()
    clients.join()
    return set(ledger.kept)


def test_kill_9_loses_no_local_mail_that_was_answered_for_and_doubles_none(mailroot):
    answered = kill_under_load(mailroot, "local")
    mailroot.serve()
    wait_settled(mailroot)
    counted = shown(mailroot, "Drop")
    assert not answered - set(counted), "lost"
    assert set(counted.values()) == {1}, "doubled"


def test_kill_9_loses_no_remote_mail_that_was_answered_for(remote, sink):
    taken = sink(remote.first, remote.port)
    connections = 4
    remote.mailroot.configure(delivery={"connectionsPerDomain": connections})
    answered = kill_under_load(remote.mailroot, "remote")
    remote.mailroot.serve()
    remote.mailroot.wait_idle()
    counted = Counter(key_of(dump.content) for dump in taken.dumps())
    assert not answered - set(counted), "lost"
    # What a host had taken when we died, and we had not yet noted, goes out again; one per connection at most.
    assert sum(counted.values()) - len(counted) <= connections


def test_kill_9_in_the_middle_of_pickup_loses_none(mailroot):
    serve = mailroot.serve()
    for number in range(200):
        mailroot.submit(f"{number}.eml", message(f"number {number}", to="ann@local.example"))
        if number == 100:
            wait_for(lambda: mailroot.files("Drop"), "the first in Drop")
            serve.kill()
    mailroot.serve()
    wait_settled(mailroot)
    counted = subjects(path.read_bytes() for path in mailroot.files("Drop"))
    assert len(counted) == 200 and set(counted.values()) == {1}


def test_kill_9_while_pickup_files_go_out_loses_none(remote, sink):
    taken = sink(remote.first, remote.port)
    connections = 4
    remote.mailroot.configure(delivery={"connectionsPerDomain": connections})
    serve = remote.mailroot.serve()
    for number in range(300):
        block = envelope_block("app@local.example", "ann@example.net")
        remote.mailroot.submit(f"{number}.eml", block + message(f"number {number}"))
        if number == 150:
            wait_for(lambda: taken.count() >= 20, "the first at the sink")
            serve.kill()
    remote.mailroot.serve()
    remote.mailroot.wait_idle()
    counted = subjects(dump.content for dump in taken.dumps())
    assert len(counted) == 300, "lost"
    assert sum(counted.values()) - len(counted) <= connections


# Of a message that a test writes by hand.
ID = "01dd7c000000000000c0ffee"


@pytest.fixture
def slowed():
    """slowed(call, ...): strace that lets each such call of a program wait for two seconds before it is made."""
    tracers = []

    def start(call, *arguments):
        command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:delay_enter=2000000"]
        tracers.append(
            subprocess.Popen(
                [*command, *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"},
            )
        )  # fmt: skip
        return tracers[-1]

    try:
        subprocess.run(["strace", "-o", "/dev/null", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("to slow a process down needs strace, and leave to trace")
    yield start
    for tracer in tracers:
        tracer.terminate()
        tracer.communicate()


def test_a_pickup_file_that_was_made_a_message_does_not_come_back(remote, sink, slowed):
    """While the one is in place of the other and the other still there, nobody else may send it: were the file left
    by a crash then, it would be sent again."""
    mailroot, taken = remote.mailroot, sink(remote.first, remote.port)
    serve = mailroot.serve()
    attached = slowed("unlinkat", "-p", serve.process.pid)
    assert "attached" in attached.stderr.readline()
    mailroot.submit("x.eml", envelope_block("app@local.example", "ann@local.example", "bob@example.net") + message())
    wait_for(lambda: mailroot.files("Queue", "*.eml"), "the message")
    assert mailroot.files("Queue", "*.pickup")
    mailroot.run("queue-retry", "--all")
    serve.kill()
    mailroot.serve()
    wait_settled(mailroot)
    mailroot.wait_files("Drop", 1)
    assert [dump.recipients for dump in taken.dumps()] == [["bob@example.net"]]


def test_a_pickup_file_beside_the_message_made_of_it_is_not_sent(mailroot):
    """Nor later, where somebody held it when the message was settled."""
    mailroot.create()
    block = envelope_block("<app@local.example>", "<ann@local.example>")
    trace = b"Received: by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n"
    (mailroot.folder("Queue") / f"{ID}.eml").write_bytes(block + trace + message())
    with open(mailroot.folder("Queue") / f"{ID}.pickup", "wb") as superseded:
        superseded.write(block + message())
        superseded.flush()
        fcntl.flock(superseded, fcntl.LOCK_EX)
        mailroot.run("queue-retry", "--all")
    mailroot.run("queue-retry", "--all")
    mailroot.wait_files("Drop", 1)
    assert not mailroot.files("Queue")


def test_a_hand_over_is_finished_while_another_makes_its_file_a_message(mailroot, slowed):
    """What recovery saw of Queue before the change and what it saw after it are not put together."""
    mailroot.create()
    block = envelope_block("app@local.example", "ann@local.example")
    (mailroot.folder("Queue") / f"{ID}.pickup").write_bytes(block + message())
    ready = mailroot.folder("Drop") / f".{ID}.ready"
    ready.write_bytes(block + b"Received: by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n" + message())
    inode = ready.stat().st_ino
    recovering = slowed("newfstatat", "-P", f"{ID}.pickup", PROGRAM, "--root", mailroot.root, "queue-retry")
    wait_for(lambda: f":{inode} " in pathlib.Path("/proc/locks").read_text(), "the ready file to be locked")
    mailroot.run("queue-retry", "--all")
    recovering.communicate(timeout=60)
    mailroot.run("queue-retry", "--all")
    mailroot.wait_files("Drop", 1)
    assert not mailroot.files("Queue")
