"""Who may connect, how often, and for whom they may send."""

import contextlib
import re
import smtplib
import socket
import struct
import subprocess

import pytest

from harness.mail import message, split_block
from harness.waiting import wait_for


class Line:
    """A connection to say things on and to hear lines from; `source` is the address it comes from."""

    def __init__(self, serve, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", serve.port), 30, source_address=(source, 0))
        self.stream = self.socket.makefile("rb")

    def say(self, octets):
        self.socket.sendall(octets)

    def hear(self):
        """A reply: its code and the text of its last line. Nothing where the server hung up."""
        with contextlib.suppress(ConnectionResetError):
            for line in self.stream:
                if line[3:4] != b"-":
                    return int(line[:3]), line[4:].decode().rstrip()
        return None

    def ask(self, text):
        self.say(text.encode() + b"\r\n")
        return self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()


STRANGER = "127.99.0.7"


def codes(line, *commands):
    return [line.ask(command)[0] for command in commands]


def test_a_stranger_may_send_to_us_alone(mailroot):
    mailroot.configure(relay={"networks": ["127.0.0.1"]})
    serve = mailroot.serve()
    commands = ("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<ann@local.example>", "RCPT TO:<bob@example.net>")
    with Line(serve) as ours, Line(serve, STRANGER) as stranger:
        assert ours.hear()[0] == stranger.hear()[0] == 220
        assert codes(ours, *commands) == [250, 250, 250, 250]
        assert codes(stranger, *commands) == [250, 250, 250, 550]


def test_nmap_finds_no_open_relay(mailroot):
    mailroot.configure(relay={"networks": []}, limits={"errors": 0})
    serve = mailroot.serve()
    said = subprocess.run(
        ["nmap", "-Pn", "-p", str(serve.port), "--script", "smtp-open-relay,smtp-commands", "-sV",
         "--script-args", "smtp-open-relay.ip=127.0.0.1,smtp-open-relay.domain=example.net", "127.0.0.1"],
        check=True, capture_output=True, text=True, timeout=300,
    ).stdout  # fmt: skip
    assert "Server doesn't seem to be an open relay, all tests failed" in said, said
    for extension in ("PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING", "SMTPUTF8"):
        assert extension in said, said
    assert not mailroot.files("Queue")


def test_networks_that_may_not_connect(mailroot):
    mailroot.configure(access={"allow": ["127.0.0.0/8"], "deny": ["127.99.0.0/16"]})
    serve = mailroot.serve()
    with Line(serve, STRANGER) as stranger, Line(serve, "127.98.0.1") as other:
        assert stranger.hear() == (554, "5.7.1 Access denied")
        assert stranger.hear() is None
        assert other.hear()[0] == 220
    mailroot.configure(access={"allow": ["10.0.0.0/8"]})
    assert serve.stop() == 0
    with Line(mailroot.serve()) as ours:
        assert ours.hear()[0] == 554


def test_connections_at_once(mailroot):
    mailroot.configure(limits={"connectionsPerIp": 2, "connections": 4}, relay={"networks": ["127.0.0.1"]})
    serve = mailroot.serve()
    with contextlib.ExitStack() as open_lines:
        strangers = [open_lines.enter_context(Line(serve, STRANGER)) for _ in range(3)]
        assert [line.hear()[0] for line in strangers] == [220, 220, 421]
        ours = [open_lines.enter_context(Line(serve)) for _ in range(2)]
        assert [line.hear()[0] for line in ours] == [220, 220]
        with Line(serve) as one_too_many:
            assert one_too_many.hear() == (421, "4.7.0 Too many connections")
        assert strangers[0].ask("QUIT")[0] == 221

        def has_room():
            with Line(serve, STRANGER) as again:
                return again.hear()[0] == 220

        wait_for(has_room, "room for one more")


def test_connections_and_recipients_a_minute(mailroot):
    mailroot.configure(
        limits={"connectionsPerMinute": 3, "recipientsPerMinute": 2}, relay={"networks": ["127.0.0.1"]}
    )
    serve = mailroot.serve()
    greetings = []
    for _ in range(4):
        with Line(serve, STRANGER) as line:
            greetings.append(line.hear()[0])
    assert greetings == [220, 220, 220, 421]
    recipients = ["RCPT TO:<ann@local.example>"] * 3
    with Line(serve, "127.99.0.8") as line, Line(serve) as ours:
        line.hear(), ours.hear()
        assert codes(line, "HELO x", "MAIL FROM:<>", *recipients) == [250, 250, 250, 250, 450]
        assert codes(ours, "HELO x", "MAIL FROM:<>", *recipients) == [250, 250, 250, 250, 250]


def test_limits_of_a_session(mailroot):
    mailroot.configure(
        limits={"recipients": 2, "errors": 2, "unknownCommands": 1, "messagesPerConnection": 1, "idleCommands": 3}
    )
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.ehlo()
        assert client.esmtp_features["limits"] == "MAILMAX=1 RCPTMAX=2"
        client.mail("a@b.example")
        assert [client.rcpt("ann@local.example")[0] for _ in range(3)] == [250, 250, 452]
        assert client.data(message())[0] == 250
        assert client.mail("a@b.example")[0] == 421
    for commands, last in [
        (["MAIL FROM:<a@b.example>"] * 3, [503, 503, 421]),
        (["XYZZY"] * 2, [500, 421]),
        (["NOOP"] * 4, [250, 250, 250, 421]),
    ]:
        with Line(serve) as line:
            line.hear()
            assert codes(line, *commands) == last
            assert line.hear() is None


def test_a_session_that_says_nothing(mailroot):
    mailroot.configure(limits={"idle": "1s"})
    with Line(mailroot.serve()) as line:
        assert line.hear()[0] == 220
        line.say(b"NOO")
        assert line.hear()[0] == 421
        assert line.hear() is None


def test_a_message_that_drips(mailroot):
    mailroot.configure(limits={"idle": "1s", "minRate": 1000})
    serve = mailroot.serve()
    with Line(serve) as line:
        line.hear()
        assert codes(line, "HELO x", "MAIL FROM:<>", "RCPT TO:<ann@local.example>", "DATA")[-1] == 354
        line.socket.settimeout(0.1)
        said = b""
        while not said:
            with contextlib.suppress(TimeoutError):
                line.say(b"x\r\n")
                said = line.socket.recv(100)
        assert said.startswith(b"421 ")
    assert not mailroot.files("Drop")


def proxied(version, source):
    if version == 1:
        return f"PROXY TCP4 {source} 127.0.0.1 4711 25\r\n".encode()
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 4711, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11]) + struct.pack(">H", len(addresses)) + addresses


@pytest.mark.parametrize("version", [1, 2])
def test_a_proxy_speaks_for_its_clients(mailroot, version):
    mailroot.configure(access={"proxies": ["127.77.0.0/16"], "deny": ["192.0.2.66"]})
    serve = mailroot.serve()
    with Line(serve, "127.77.0.1") as line:
        line.say(proxied(version, "192.0.2.9") + b"EHLO client.example\r\n")
        assert line.hear()[0] == 220
        assert line.hear()[0] == 250
        assert codes(line, "MAIL FROM:<>", "RCPT TO:<bob@example.net>", "RCPT TO:<ann@local.example>") == [250, 550, 250]
        assert line.ask("DATA")[0] == 354
        assert line.ask(message().decode() + ".")[0] == 250
    (path,) = mailroot.wait_files("Drop")
    assert b"[192.0.2.9]" in path.read_bytes() and b"127.77" not in path.read_bytes()
    with Line(serve, "127.77.0.1") as line:
        line.say(proxied(version, "192.0.2.66"))
        assert line.hear()[0] == 554
    with Line(serve, "127.77.0.1") as line:
        line.say(b"EHLO client.example\r\n")
        assert line.hear() is None
    # From elsewhere it is no command, and gives nobody another address.
    with Line(serve, STRANGER) as line:
        line.say(proxied(version, "127.0.0.1"))
        assert line.hear()[0] == 220
        assert line.hear()[0] in (421, 500)
    wait_for(lambda: any("PROXY header: " in said for said in serve.said), "the reason to be told")


def test_a_client_on_a_blocklist(new_mailroot, nsd, loopback):
    dns = nsd("9.0.99.127.list.example. A 127.0.0.2\n10.0.99.127.in-addr.arpa. PTR mx.client.example.\nmx.client.example. A 127.99.0.10\n")
    mailroot = new_mailroot(
        dns={"servers": [dns.server]},
        relay={"networks": ["127.0.0.1"]},
        access={"blocklists": ["other.example", "list.example"], "reverseLookup": True},
    )
    serve = mailroot.serve()
    with Line(serve, "127.99.0.9") as line:
        line.hear()
        assert codes(line, "HELO x", "MAIL FROM:<>") == [250, 250]
        refused = line.ask("RCPT TO:<ann@local.example>")
        assert refused == (554, "5.7.1 Service unavailable; client [127.99.0.9] blocked using list.example")
        assert line.ask("RCPT TO:<postmaster@local.example>")[0] == 250
    with Line(serve, "127.99.0.10") as line:
        line.hear()
        assert codes(line, "HELO x", "MAIL FROM:<>", "RCPT TO:<ann@local.example>", "DATA")[-1] == 354
        assert line.ask(message().decode() + ".")[0] == 250
    (path,) = mailroot.wait_files("Drop")
    assert b"from x (mx.client.example [127.99.0.10])" in path.read_bytes()


def test_recipients_that_are_there(mailroot, workspace):
    people = workspace / "people"
    people.write_text("# us\nann\nBob@local.example\n")
    mailroot.configure(domains={"recipients": {"local.example": str(people)}})
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.helo()
        client.mail("a@b.example")
        for recipient, code in [("ann", 250), ("ANN", 250), ("bob", 250), ("carol", 550), ("postmaster", 250)]:
            said = client.rcpt(f"{recipient}@local.example")
            assert said[0] == code, said
        assert client.rcpt("carol@local.example") == (550, b"5.1.1 User unknown: carol@local.example")


def test_a_drop_folder_that_is_full(mailroot):
    mailroot.configure(drop={"quota": 2000})
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("a@b.example", ["ann@local.example"], message(body="x" * 80 + "\r\n" + ("y" * 70 + "\r\n") * 30))
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@b.example", ["ann@local.example"], message())
        assert refused.value.recipients["ann@local.example"] == (452, b"4.2.2 Mailbox Full")
        client.rset()
        client.sendmail("a@b.example", ["bob@example.net"], message())
    mailroot.wait_files("Queue")


def test_a_message_in_circles(mailroot):
    serve = mailroot.serve()
    trace = "".join(f"Received: from a by b; Tue, 24 Nov 2026 01:48:{n:02} +0000\r\n" for n in range(16))
    with serve.smtp() as client:
        client.helo()
        client.mail("a@b.example")
        client.rcpt("ann@local.example")
        assert client.data(trace.encode() + message())[0] == 554
    assert not mailroot.files("Drop")


@pytest.mark.parametrize("newline", ["normalize", "reject"])
@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\r\n"])
def test_no_message_is_smuggled(mailroot, newline, end):
    mailroot.configure(limits={"bareNewline": newline})
    serve = mailroot.serve()
    smuggled = end + b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<ann@local.example>\r\nDATA\r\nSubject: smuggled\r\n"
    with Line(serve) as line:
        line.hear()
        assert codes(line, "EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<ann@local.example>", "DATA")[-1] == 354
        line.say(message() + smuggled + b"\r\n.\r\n")
        assert line.hear()[0] == (250 if newline == "normalize" else 554)
        assert line.ask("QUIT")[0] == 221
    files = mailroot.files("Drop")
    assert len(files) == (1 if newline == "normalize" else 0)
    for path in files:
        block, rest = split_block(path.read_bytes())
        assert block[0] == "x-sender: a@b.example"
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", rest), "no bare CR or LF is stored"
