"""Mail that waits until its host asks for it: ETRN (RFC 1985) and ATRN (RFC 2645)."""

import pytest

from harness.accounts import PASSWORD, sha512, write_users
from harness.mail import envelope_block, message, without_trace
from harness.waiting import wait_for


@pytest.fixture
def triggered(remote, workspace):
    """example.net waits to be asked; the user `branch` may fetch it."""
    users = write_users(workspace, branch=sha512(), other=sha512())
    remote.mailroot.configure(
        domains={"remote": {"example.net": {"triggered": True, "turn": ["branch"]}}},
        auth={"users": str(users), "requireTls": False},
        delivery={"retry": ["1h"]},
    )
    return remote


def queue_up(triggered, *recipients, **options):
    for recipient in recipients:
        sent = envelope_block("app@local.example", recipient) + message(**options)
        triggered.mailroot.submit(recipient, sent)


def waiting(serve, *recipients):
    """Each was attempted once, and waits."""
    for recipient in recipients:
        wait_for(
            lambda r=recipient: any(f"deferred {r}: 450 4.4.0" in line for line in serve.said),
            f"{recipient} to be held",
        )


def test_etrn_sends_what_waits(triggered, scripted):
    host = scripted(triggered.first, triggered.port)
    serve = triggered.mailroot.serve()
    queue_up(triggered, "a@example.net", "b@example.net")
    waiting(serve, "a@example.net", "b@example.net")
    assert not host.attempts
    with serve.smtp() as client:
        client.ehlo()
        assert client.has_extn("etrn") and client.has_extn("atrn")
        assert client.docmd("ETRN", "example.net") == (250, b"2.0.0 OK, queuing for node example.net started")
        assert client.docmd("ETRN", "local.example")[0] == 459
        assert client.docmd("ETRN")[0] == 501
    triggered.mailroot.wait_idle()
    assert sorted(host.recipients()) == ["a@example.net", "b@example.net"]
    assert serve.stop() == 0


class Branch:
    """The other end of a connection that was turned around: an SMTP server, as plain as can be."""

    def __init__(self, client):
        self.socket, self.stream = client.sock, client.sock.makefile("rb")
        self.taken, self.recipients = [], []

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def serve(self):
        self.say("220 branch.example ESMTP")
        for line in self.stream:
            verb = line[:4].upper()
            if verb == b"DATA":
                self.say("354 go on")
                self.taken.append(b"".join(iter(self.stream.readline, b".\r\n")))
                self.say("250 2.0.0 taken")
            elif verb == b"RCPT":
                self.recipients.append(line.partition(b"<")[2].partition(b">")[0].decode())
                self.say("250 2.1.5 OK")
            elif verb == b"QUIT":
                self.say("221 2.0.0 bye")
                break
            else:
                self.say("250 branch.example")


def test_atrn_sends_over_the_connection_that_asked(triggered):
    serve = triggered.mailroot.serve()
    queue_up(triggered, "a@example.net", body="One.\r\n.dotted\r\n")
    queue_up(triggered, "b@example.net")
    waiting(serve, "a@example.net", "b@example.net")
    with serve.smtp() as client:
        client.ehlo()
        assert client.docmd("ATRN", "example.net")[0] == 530
        client.login("branch", PASSWORD)
        assert client.docmd("ATRN", "example.com")[0] == 450
        assert client.docmd("ATRN", "example.net") == (250, b"2.0.0 OK now reversing the connection")
        branch = Branch(client)
        branch.serve()
        client.close()
    triggered.mailroot.wait_idle()
    assert branch.recipients == ["a@example.net", "b@example.net"]
    dotted = branch.taken[0].replace(b"\r\n..", b"\r\n.")
    assert without_trace(dotted).endswith(b"\r\n\r\nOne.\r\n.dotted\r\n")
    with serve.smtp() as client:
        client.login("branch", PASSWORD)
        assert client.docmd("ATRN")[0] == 453
    with serve.smtp() as client:
        client.login("other", PASSWORD)
        assert client.docmd("ATRN")[0] == 450
    assert serve.stop() == 0


def test_a_turned_connection_that_breaks_loses_nothing(triggered):
    serve = triggered.mailroot.serve()
    queue_up(triggered, "a@example.net", "b@example.net")
    waiting(serve, "a@example.net", "b@example.net")
    with serve.smtp() as client:
        client.login("branch", PASSWORD)
        assert client.docmd("ATRN")[0] == 250
        client.sock.sendall(b"220 branch.example ESMTP\r\n")
        assert client.sock.makefile("rb").readline().startswith(b"EHLO ")
        client.close()
    with serve.smtp() as client:
        client.login("branch", PASSWORD)
        wait_for(lambda: client.docmd("NOOP")[0] == 250, "the service to answer")
        assert client.docmd("ATRN")[0] == 250
        branch = Branch(client)
        branch.serve()
        client.close()
    triggered.mailroot.wait_idle()
    assert sorted(branch.recipients) == ["a@example.net", "b@example.net"]
    assert serve.stop() == 0
