"""A pickup file that cannot be read as mail goes to Badmail as it is, with the reason and the line."""

import json
import re

import pytest

from harness.mail import message

REST = b"Subject: x\r\n\r\nHello.\r\n"

BAD = {
    "no-sender": (b"To: ann@local.example\r\n" + REST, "sender"),
    "no-recipient": (b"From: app@local.example\r\n" + REST, "recipient"),
    "bad-address": (b"From: app@local.example\r\nTo: ann@@local..example\r\n" + REST, "line 2"),
    "bad-x-receiver": (b"x-sender: app@local.example\r\nx-receiver: ann at home\r\n" + REST, "line 2"),
    "utf-16": (message().decode().encode("utf-16"), "UTF-16"),
    "nul-in-header": (b"From: app@local.example\r\nTo: ann@local.example\r\nSubject: a\0b\r\n\r\nx\r\n", "line 3"),
    "too-big": (message(body="x" * 70 + "\r\n" * 8000), "size|big|large|octets|limit"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(name, new_mailroot):
    content, reason = BAD[name]
    mailroot = new_mailroot(limits={"messageSize": "10K"})
    mailroot.submit(f"{name}.eml", content)
    serve = mailroot.serve()
    (bad,) = mailroot.wait_files("Badmail", pattern="*.bad")
    assert bad.read_bytes() == content, "byte for byte"
    assert re.search(reason, bad.with_suffix(".bdr").read_text()), bad.with_suffix(".bdr").read_text()
    assert isinstance(json.loads(bad.with_suffix(".bdp").read_text()), dict)
    assert not mailroot.files("Pickup") and not mailroot.files("Queue") and not mailroot.files("Drop")

    (entry,) = mailroot.report("badmail-report")["messages"]
    assert (entry["id"], entry["reason"]) == (bad.stem, "badPickupFile")

    mailroot.submit("good.eml", message(to="ann@local.example"))
    mailroot.wait_files("Drop")
    assert serve.stop() == 0


def test_pickup_drain_says_by_its_exit_code_that_a_file_was_bad(mailroot):
    content, _ = BAD["no-sender"]
    mailroot.create().submit("bad", content)
    done = mailroot.run("pickup-drain", "--json")
    assert done.returncode == 65
    assert json.loads(done.stdout)["badmail"] == 1
    (bad,) = mailroot.files("Badmail", "*.bad")
    assert bad.read_bytes() == content
