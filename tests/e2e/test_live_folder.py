"""What an administrator does to the folders by hand is noticed by a running serve: at once, or at its next look."""

import os
import shutil
import stat
import subprocess
import time

import pytest

from harness import mailroot as harness_mailroot
from harness.mail import envelope_block, message, split_block, without_trace
from harness.waiting import wait_for

LATER = "451 4.7.1 greylisted, come back"
NEVER = "550 5.1.1 nobody here"
AT_ONCE = 3  # seconds: notice within one or two, and the delivery itself
HELD = 4133980800  # 2101-01-01


@pytest.fixture(params=["events", "looks"])
def live(request, remote, workspace, monkeypatch):
    """A mailroot that can only hear of a change, or can only find it, for its system gives no watches."""
    mailroot = remote.mailroot
    mailroot.configure(delivery={"retry": ["500ms"]})
    if request.param == "events":
        mailroot.configure(pickup={"rescan": "1h"})
    else:
        mailroot.configure(pickup={"rescan": "200ms"})
        refuse_watches(workspace, monkeypatch)
    return mailroot


def refuse_watches(workspace, monkeypatch):
    """From here on the program has to do without inotify."""
    strace = ["strace", "-D", "-q", "-f", "--seccomp-bpf", "-o", "/dev/null"]
    strace += ["-e", "trace=inotify_init1", "-e", "inject=inotify_init1:error=EMFILE"]
    try:
        subprocess.run([*strace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("to refuse watches needs strace, and leave to trace")
    script = workspace / "without-watches"
    script.write_text(f'#!/bin/sh\nexec {" ".join(strace)} {harness_mailroot.PROGRAM} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(harness_mailroot, "PROGRAM", str(script))


def submit(mailroot, *recipients, sender="app@local.example", content=None):
    mailroot.submit(f"{recipients[0]}.eml", envelope_block(sender, *recipients) + (content or message()))


def wait_deferred(mailroot, recipient):
    """The queue file of the message to `recipient`, once an attempt has left its history and its time."""

    def deferred():
        for path in mailroot.files("Queue", "*.eml"):
            history = path.with_suffix(".json")
            owed = f"x-receiver: <{recipient}>".encode() in path.read_bytes()
            # The time of the next attempt is set last.
            if owed and history.exists() and path.stat().st_mtime_ns > history.stat().st_mtime_ns:
                return path
        return None

    return wait_for(deferred, f"the message to {recipient} to be deferred")


def wait_delivered(host, recipients):
    wait_for(lambda: sorted(host.recipients()) == sorted(recipients), f"{recipients} to be delivered", AT_ONCE)


def wait_more_attempts(host, recipient, count=2):
    before = host.attempts.count(recipient)
    wait_for(lambda: host.attempts.count(recipient) >= before + count, f"{count} more attempts for {recipient}")


def test_touch_means_now(live, remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"ann@example.net": LATER})
    live.configure(delivery={"retry": ["1h"]})
    live.serve()
    submit(live, "ann@example.net")
    path = wait_deferred(live, "ann@example.net")
    host.refuse.clear()
    path.touch()
    wait_delivered(host, ["ann@example.net"])
    wait_for(lambda: not path.exists(), "the message to leave Queue", AT_ONCE)


def test_a_date_from_2100_on_holds_and_a_touch_releases(live, remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"ann@example.net": LATER, "bob@example.net": LATER})
    live.serve()
    submit(live, "ann@example.net")
    submit(live, "bob@example.net")
    path = wait_deferred(live, "ann@example.net")
    os.utime(path, (HELD, HELD))
    # An attempt that began before the hold may still be under way; bob's next comes after it.
    wait_more_attempts(host, "bob@example.net", 1)
    before = host.attempts.count("ann@example.net")
    wait_more_attempts(host, "bob@example.net")
    assert host.attempts.count("ann@example.net") == before and path.stat().st_mtime == HELD
    by_id = {entry["id"]: entry["state"] for entry in live.report("queue-report")["messages"]}
    assert by_id[path.stem] == "held"
    host.refuse.clear()
    path.touch()
    wait_delivered(host, ["ann@example.net", "bob@example.net"])


def test_a_message_that_is_removed_is_never_sent(live, remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"ann@example.net": LATER, "bob@example.net": LATER})
    live.serve()
    submit(live, "ann@example.net")
    submit(live, "bob@example.net")
    wait_deferred(live, "ann@example.net").unlink()
    wait_more_attempts(host, "bob@example.net", 1)
    before = host.attempts.count("ann@example.net")
    wait_more_attempts(host, "bob@example.net")
    assert host.attempts.count("ann@example.net") == before
    host.refuse.clear()
    wait_for(lambda: not live.files("Queue", "*.eml"), "Queue to be empty")
    assert host.recipients() == ["bob@example.net"]
    assert not live.files("Badmail") and not live.files("Drop")


def test_a_message_moved_to_pickup_goes_to_the_recipients_that_are_left(live, remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"ann@example.net": LATER})
    live.configure(delivery={"retry": ["1h"]})
    live.serve()
    sent = message(body=".one\r\n..two\r\n")
    submit(live, "ann@example.net", "bob@example.net", content=sent)
    path = wait_deferred(live, "ann@example.net")
    assert host.recipients() == ["bob@example.net"]
    host.refuse.clear()
    path.rename(live.folder("Pickup") / path.name)
    wait_delivered(host, ["ann@example.net", "bob@example.net"])
    assert host.attempts.count("bob@example.net") == 1
    assert without_trace(without_trace(host.taken[-1].content)) == sent
    wait_for(lambda: not live.files("Pickup") and not live.files("Queue", "*.eml"), "nothing to be left", AT_ONCE)


def test_a_message_that_was_out_of_queue_goes_to_the_recipients_that_are_left(live, remote, scripted, workspace):
    host = scripted(remote.first, remote.port, refuse={"ann@example.net": LATER, "bob@example.net": LATER})
    live.serve()
    submit(live, "ann@example.net", "fay@example.net")
    submit(live, "bob@example.net")
    path = wait_deferred(live, "ann@example.net")
    path.rename(workspace / path.name)
    wait_more_attempts(host, "bob@example.net", 1)
    host.refuse.clear()
    wait_for(lambda: "bob@example.net" in host.recipients(), "what stayed in Queue to go")
    assert sorted(host.recipients()) == ["bob@example.net", "fay@example.net"]
    (workspace / path.name).rename(path)
    wait_delivered(host, ["ann@example.net", "bob@example.net", "fay@example.net"])
    wait_for(lambda: not live.files("Queue"), "Queue to be empty", AT_ONCE)


def queue_file(sender, recipient, body):
    """What stands in Queue: block, our Received at once, message."""
    received = "Received: from app by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n"
    block = f"x-sender: <{sender}>\r\nx-receiver: <{recipient}>\r\n"
    return (block + received).encode() + message(body=body, to=recipient)


def new_id():
    """As the service makes them: FILETIME, then 32 bits."""
    return f"{time.time_ns() // 100 + 116444736000000000:016x}deadbeef"


def write_slowly(path, content, between):
    """As cp does, but slower: in pieces, each on the disk before the next; `between` is called after each."""
    with path.open("xb", buffering=0) as file:
        pieces = 5
        for number in range(pieces):
            file.write(content[number * len(content) // pieces : (number + 1) * len(content) // pieces])
            between()


COPIES = {
    # whether it is named by an id, for whom it is
    "foreign name": (False, "ann@local.example"),
    "id, local": (True, "ann@local.example"),
    "id, remote": (True, "ann@example.net"),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_file_copied_into_queue_is_taken_up_whole(copy, live, remote, scripted):
    by_id, to = COPIES[copy]
    host = scripted(remote.first, remote.port)
    # Pieces come faster than a file settles, and slower than the folder is looked at.
    live.configure(pickup={"settle": "1s"})
    live.serve()
    content = queue_file("app@local.example", to, "x" * 70 + "\r\n" + "the end\r\n")
    name = new_id() if by_id else "copied by hand"

    def nothing_went():
        time.sleep(0.2)  # the event is that nothing happens
        assert not live.files("Drop") and not host.attempts and not live.files("Badmail")

    write_slowly(live.folder("Queue") / f"{name}.eml", content, nothing_went)
    if to.endswith("example.net"):
        wait_for(lambda: host.taken, "the message at its host", AT_ONCE)
        arrived = host.taken[0].content
    else:
        (path,) = live.wait_files("Drop", seconds=AT_ONCE)
        arrived = split_block(path.read_bytes())[1]
        assert not by_id or path.stem == name, "one id names a message in every folder"
    assert arrived.endswith(split_block(content)[1]), "whole"
    wait_for(lambda: not live.files("Queue", "*.eml") and not live.files("Queue", "*.pickup"), "Queue to be empty")
    assert len(host.taken) + len(live.files("Drop")) == 1


@pytest.mark.parametrize("name", ["by hand.eml", "no extension"])
def test_a_file_moved_into_queue_is_taken_up(name, live, workspace):
    live.serve()
    (workspace / "draft").write_bytes(message(to="ann@local.example"))
    (workspace / "draft").rename(live.folder("Queue") / name)
    (path,) = live.wait_files("Drop", seconds=AT_ONCE)
    assert without_trace(split_block(path.read_bytes())[1]) == message(to="ann@local.example")
    wait_for(lambda: not live.files("Queue"), "Queue to be empty")


def test_a_drop_file_moved_to_pickup_is_delivered_again(live):
    serve = live.serve()
    sent = message(body="..two\r\n")
    with serve.smtp() as client:
        client.sendmail("app@local.example", ["ann@local.example"], sent)
    (first,) = live.wait_files("Drop")
    first.rename(live.folder("Pickup") / first.name)
    (again,) = wait_for(
        lambda: [path for path in live.files("Drop", "*.eml") if path.name != first.name], "it in Drop again", AT_ONCE
    )
    block, content = split_block(again.read_bytes())
    assert block == ["x-sender: app@local.example", "x-receiver: ann@local.example"]
    assert without_trace(without_trace(content)) == sent
    assert live.files("Drop") == [again] and not live.files("Queue")


def test_a_badmail_file_moved_to_pickup_goes_to_the_recipients_that_failed(live, remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"ann@example.net": NEVER})
    live.serve()
    sent = message(body=".one\r\n..two\r\n")
    submit(live, "ann@example.net", "bob@example.net", sender="<>", content=sent)
    (bad,) = live.wait_files("Badmail", pattern="*.bad")
    host.refuse.clear()
    bad.rename(live.folder("Pickup") / bad.name)
    wait_delivered(host, ["ann@example.net", "bob@example.net"])
    assert host.taken[-1].recipients == ["ann@example.net"] and host.attempts.count("bob@example.net") == 1
    assert without_trace(without_trace(host.taken[-1].content)) == sent


def test_what_was_done_while_serve_was_down_is_noticed_when_it_starts(remote, scripted, workspace):
    """No event can tell of it, and the next look after the first is an hour away."""
    mailroot = remote.mailroot
    names = ["touched", "held", "removed", "moved", "away"]
    host = scripted(remote.first, remote.port, refuse={f"{name}@example.net": LATER for name in names})
    mailroot.configure(delivery={"retry": ["1h"]}, pickup={"rescan": "1h"})
    serve = mailroot.serve()
    for name in names:
        submit(mailroot, f"{name}@example.net")
    path = {name: wait_deferred(mailroot, f"{name}@example.net") for name in names}
    assert serve.stop() == 0

    path["touched"].touch()
    os.utime(path["held"], (HELD, HELD))
    path["removed"].unlink()
    path["moved"].rename(mailroot.folder("Pickup") / "moved.eml")
    path["away"].rename(workspace / "away.eml")
    (mailroot.folder("Queue") / "copied.eml").write_bytes(message(to="copied@example.net"))
    shutil.copyfile(workspace / "away.eml", mailroot.folder("Queue") / f"{new_id()}.eml")
    host.refuse.clear()
    mailroot.serve()
    expected = [f"{name}@example.net" for name in ("touched", "moved", "copied", "away")]
    wait_delivered(host, expected)
    wait_for(lambda: mailroot.files("Queue", "*.eml") == [path["held"]], "only the held one to stay", AT_ONCE)
    assert stat.S_ISREG(path["held"].stat().st_mode) and path["held"].stat().st_mtime == HELD
    assert sorted(host.recipients()) == sorted(expected)
