"""Mail that cannot go now waits in Queue, says why, and goes later."""

import json
import time

from harness.mail import envelope_block, message, without_trace
from harness.waiting import wait_for

LATER = "451 4.7.1 greylisted, come back"
NEVER = ["1h"]


def submit(mailroot, *recipients, content=None):
    block = envelope_block("app@local.example", *recipients)
    mailroot.submit("x.eml", block + (content or message()))


def wait_deferred(mailroot):
    """The one message of the queue, once an attempt has left its history."""
    wait_for(lambda: mailroot.files("Queue", "*.json"), "a history in Queue")
    wait_for(lambda: not mailroot.files("Pickup") and not mailroot.files("Queue", "*.pickup"), "one queue file")
    (path,) = mailroot.files("Queue", "*.eml")
    return path


def test_a_4xx_is_remembered_with_its_reason(remote, scripted):
    remote.mailroot.configure(delivery={"retry": NEVER})
    scripted(remote.first, remote.port, refuse={"later@example.net": LATER})
    remote.mailroot.serve()
    submit(remote.mailroot, "later@example.net", "now@example.net")
    path = wait_deferred(remote.mailroot)
    history = path.with_suffix(".json").read_text()
    assert "greylisted, come back" in history and json.loads(history)
    assert b"x-receiver: <later@example.net>" in path.read_bytes()
    assert b"x-received: <now@example.net>" in path.read_bytes(), "who is settled stands in the file"

    report = remote.mailroot.report("queue-report")
    (entry,) = report["messages"]
    assert entry["id"] == path.stem and entry["sender"] == "app@local.example"
    assert entry["attempts"] == 1 and "greylisted" in entry["reason"]
    by_address = {r["address"]: r for r in entry["recipients"]}
    assert by_address["now@example.net"]["settled"] and not by_address["later@example.net"]["settled"]
    assert "greylisted" in by_address["later@example.net"]["lastReply"]
    assert remote.first in by_address["later@example.net"]["lastHost"] or "mx1" in by_address["later@example.net"]["lastHost"]
    assert not report["unusable"]


def test_serve_tries_again_on_its_schedule_and_only_whom_it_owes(remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"later@example.net": LATER})
    remote.mailroot.serve()
    submit(remote.mailroot, "later@example.net", "now@example.net")
    wait_for(lambda: host.attempts.count("later@example.net") >= 3, "two retries")
    host.refuse.clear()
    remote.mailroot.wait_idle()
    assert sorted(host.recipients()) == ["later@example.net", "now@example.net"]
    assert host.attempts.count("now@example.net") == 1
    assert not remote.mailroot.files("Badmail") and not remote.mailroot.files("Drop")


def test_queue_retry_sends_what_is_due_while_serve_is_down(remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"later@example.net": LATER})
    remote.mailroot.configure(delivery={"retry": NEVER})
    serve = remote.mailroot.serve()
    sent = message(body=".one\r\n..two\r\n")
    submit(remote.mailroot, "later@example.net", content=sent)
    path = wait_deferred(remote.mailroot)
    assert serve.stop() == 0

    done = remote.mailroot.run("queue-retry", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["messages"] == 0, "nothing is due"
    assert host.attempts.count("later@example.net") == 1

    done = remote.mailroot.run("queue-retry", "--json", path.stem)
    assert done.returncode == 75, "still deferred"
    assert json.loads(done.stdout)["deferred"] == 1

    host.refuse.clear()
    dry = remote.mailroot.run("queue-retry", "--dry-run", "--all", "--json")
    assert dry.returncode == 0 and path.exists() and not host.taken

    done = remote.mailroot.run("queue-retry", "--json", "--all")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) | {"messages": 1, "delivered": 1, "deferred": 0} == json.loads(done.stdout)
    assert without_trace(host.taken[0].content) == sent
    assert not remote.mailroot.files("Queue")


def test_touch_makes_a_message_due_now(remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"later@example.net": LATER})
    remote.mailroot.configure(delivery={"retry": NEVER})
    remote.mailroot.serve()
    submit(remote.mailroot, "later@example.net")
    path = wait_deferred(remote.mailroot)
    wait_for(lambda: path.stat().st_mtime > time.time(), "it to be due later")
    host.refuse.clear()
    path.touch()
    done = remote.mailroot.run("queue-retry")
    assert done.returncode in (0, 75), "75 where serve was faster and holds it"
    remote.mailroot.wait_idle()
    assert host.recipients() == ["later@example.net"]


def test_no_connection_then_the_host_comes_up(remote, scripted):
    remote.mailroot.serve()
    sent = message()
    submit(remote.mailroot, "ann@example.net", content=sent)
    wait_deferred(remote.mailroot)
    assert not remote.mailroot.files("Badmail") and not remote.mailroot.files("Drop")
    host = scripted(remote.first, remote.port)
    remote.mailroot.wait_idle()
    assert host.recipients() == ["ann@example.net"]
    assert without_trace(host.taken[0].content) == sent


def test_a_connection_lost_in_the_middle_defers(remote, scripted):
    host = scripted(remote.first, remote.port, hang_up="RCPT")
    remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    wait_deferred(remote.mailroot)
    host.hang_up = None
    remote.mailroot.wait_idle()
    assert host.recipients() == ["ann@example.net"]


def test_a_connection_lost_after_the_data_defers(remote, scripted):
    host = scripted(remote.first, remote.port, hang_up="DATA", on_data="421 4.3.0 gone")
    remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    wait_deferred(remote.mailroot)
    host.hang_up = host.on_data = None
    remote.mailroot.wait_idle()
    assert host.recipients() == ["ann@example.net"]


def test_what_has_waited_too_long_is_returned(remote, scripted):
    remote.mailroot.configure(delivery={"expire": "2s"})
    host = scripted(remote.first, remote.port, refuse={"later@example.net": LATER})
    remote.mailroot.serve()
    submit(remote.mailroot, "later@example.net")
    (path,) = remote.mailroot.wait_files("Drop")
    remote.mailroot.wait_idle()
    text = path.read_text()
    assert "x-receiver: app@local.example" in text
    assert "Final-Recipient: rfc822;later@example.net" in text.replace("; ", ";")
    assert "Action: failed" in text and "Status: 4.4.7" in text
    assert not host.taken


def test_what_was_accepted_waits_through_a_restart(remote, scripted):
    serve = remote.mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("app@local.example", ["ann@example.net"], message())
    wait_deferred(remote.mailroot)
    assert serve.stop() == 0
    host = scripted(remote.first, remote.port)
    remote.mailroot.serve()
    remote.mailroot.wait_idle()
    assert host.recipients() == ["ann@example.net"]
