"""queue-remove and badmail-requeue: what is named goes, what another process has in hand stays."""

import fcntl
import json
import os

import pytest

from harness.mail import envelope_block, message, split_block, without_trace

FIRST, SECOND, THIRD = (f"01dd5b4f6a3c8e0{number}91b2c3d4" for number in range(3))
CONTENT = b"Received: by here\r\n" + message(to="ann@local.example")


@pytest.fixture
def queue(mailroot):
    """Three messages: one as any other, one held, one that was cut off."""
    mailroot.create()
    block = envelope_block("app@local.example", "ann@local.example")
    for name, content in ((FIRST, block + CONTENT), (SECOND, block + CONTENT), (THIRD, block + CONTENT[:-1])):
        (mailroot.folder("Queue") / f"{name}.eml").write_bytes(content)
    os.utime(mailroot.folder("Queue") / f"{SECOND}.eml", (5e9, 5e9))
    (mailroot.folder("Queue") / f"{FIRST}.json").write_text("{}")
    return mailroot.folder("Queue")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_queue_remove_takes_out_what_is_named_with_its_history(mailroot, queue):
    done = mailroot.run("queue-remove", FIRST)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{FIRST}\n", "")
    assert names(queue) == [f"{SECOND}.eml", f"{THIRD}.eml"]


def test_queue_remove_all_takes_held_and_damaged_ones_too(mailroot, queue):
    done = mailroot.run("queue-remove", "--all", "--dry-run")
    assert done.returncode == 0 and len(done.stdout.split()) == 3 and len(names(queue)) == 4
    assert mailroot.report("queue-remove", "--all") == {"removed": [FIRST, SECOND, THIRD], "inHand": []}
    assert names(queue) == []


def test_queue_remove_leaves_what_another_process_has_in_hand(mailroot, queue):
    with (queue / f"{SECOND}.eml").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = mailroot.run("queue-remove", "--all", "--json")
    assert done.returncode == 75
    assert json.loads(done.stdout) == {"removed": [FIRST, THIRD], "inHand": [SECOND]}
    assert names(queue) == [f"{SECOND}.eml"]


@pytest.mark.parametrize("command", ["queue-remove", "badmail-requeue"])
def test_nothing_is_done_without_a_selection_or_for_a_name_that_is_not_there(mailroot, queue, command):
    done = mailroot.run(command)
    assert done.returncode == 64 and "--all" in done.stderr
    done = mailroot.run(command, FIRST, "no-such-id")
    assert done.returncode == 66 and "no such message" in done.stderr
    assert len(names(queue)) == 4


def test_badmail_requeue_sends_again_with_the_stored_envelope(mailroot):
    mailroot.create()
    badmail = mailroot.folder("Badmail")
    (badmail / f"{FIRST}.bad").write_bytes(envelope_block("<>", "blind@local.example") + CONTENT)
    for extension in ("bdr", "bdp"):
        (badmail / f"{FIRST}.{extension}").write_text("{}")
    assert mailroot.report("badmail-requeue", "--all") == {"requeued": [FIRST], "inHand": []}
    assert names(badmail) == []
    done = mailroot.run("pickup-drain")
    assert done.returncode == 0, done.stderr
    (dropped,) = mailroot.files("Drop")
    block, content = split_block(dropped.read_bytes())
    assert block == ["x-sender: <>", "x-receiver: blind@local.example"]
    assert without_trace(content) == CONTENT
