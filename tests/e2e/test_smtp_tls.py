"""TLS: STARTTLS and from the first octet on, what is offered, and what is refused."""

import contextlib
import signal
import smtplib
import socket
import ssl
import subprocess

import pytest

from harness.accounts import Certificate
from harness.mail import message, split_block, without_trace
from harness.waiting import wait_for

ENTRIES = ["127.0.0.1:0", "127.0.0.1:0 implicit", "127.0.0.1:0 required", "127.0.0.1:0 none"]


@pytest.fixture
def certificate(workspace):
    return Certificate(workspace / "tls")


class Secure:
    """A service that listens once for each of ENTRIES."""

    def __init__(self, mailroot, certificate):
        self.mailroot, self.certificate = mailroot, certificate
        mailroot.configure(tls=certificate.settings)
        self.serve = mailroot.serve(*(a for entry in ENTRIES[1:] for a in ("--listen", entry)))
        ports = [int(line.rpartition(":")[2]) for line in self.serve.said if "listening on" in line]
        self.starttls, self.implicit, self.required, self.plain = ports

    def context(self, **options):
        context = ssl.create_default_context(cafile=self.certificate.certificate)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def smtp(self, port):
        return smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=30)

    def smtps(self, **options):
        return smtplib.SMTP_SSL(
            "127.0.0.1", self.implicit, "client.example", timeout=30, context=self.context(**options)
        )


@pytest.fixture
def secure(mailroot, certificate):
    return Secure(mailroot, certificate)


def send(client):
    client.sendmail("app@elsewhere.example", ["ann@local.example"], message())


def received(mailroot):
    """What the Received field says of the one message in Drop."""
    (path,) = mailroot.wait_files("Drop")
    rest = split_block(path.read_bytes())[1]
    assert without_trace(rest) == message()
    return rest.partition(b"\r\nFrom:")[0].decode()


def test_starttls(secure):
    with secure.smtp(secure.starttls) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        client.starttls(context=secure.context())
        client.ehlo()
        assert not client.has_extn("starttls")
        assert client.docmd("STARTTLS")[0] == 503
        send(client)
    field = received(secure.mailroot)
    assert " with ESMTPS" in field and "TLSv1.3" in field and "TLS_AES_256_GCM_SHA384" in field


def test_tls_from_the_first_octet(secure):
    with secure.smtps() as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        send(client)
    assert " with ESMTPS" in received(secure.mailroot)


def test_tls_1_2(secure):
    with secure.smtps(maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        send(client)
    field = received(secure.mailroot)
    assert "TLSv1.2" in field and "ECDHE-ECDSA" in field


def test_older_protocols_and_weak_ciphers_are_refused(secure):
    weak = ["@SECLEVEL=0:AES128-SHA", "@SECLEVEL=0:aNULL", "@SECLEVEL=0:ECDHE-ECDSA-AES128-SHA"]
    for options in [("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), *(("-tls1_2", "-cipher", c) for c in weak)]:
        tried = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.implicit}", *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert tried.returncode != 0 and "alert" in tried.stderr, options
    with secure.smtps() as client:
        send(client)


def test_a_session_is_not_resumed(secure):
    context = secure.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    with smtplib.SMTP_SSL("127.0.0.1", secure.implicit, timeout=30, context=context) as client:
        session = client.sock.session
        assert session is None or not session.has_ticket
    said = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.implicit}", "-reconnect", "-tls1_2"],
        input="QUIT\r\n", capture_output=True, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip
    assert "New, TLSv1.2" in said and "Reused" not in said


def test_where_tls_is_required_there_is_no_mail_before_it(secure):
    with secure.smtp(secure.required) as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:<a@b.example>") == (530, b"5.7.0 Must issue a STARTTLS command first")
        client.starttls(context=secure.context())
        send(client)
    assert " with ESMTPS" in received(secure.mailroot)


def test_where_there_is_none_it_is_not_offered(secure):
    with secure.smtp(secure.plain) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        assert client.docmd("STARTTLS")[0] == 502


def test_what_was_said_before_the_handshake_is_forgotten(secure):
    """STARTTLS injection (CVE-2011-0411): plain text behind STARTTLS must not run in the session that follows."""
    with socket.create_connection(("127.0.0.1", secure.starttls), timeout=30) as plain:
        stream = plain.makefile("rb")
        assert stream.readline().startswith(b"220")
        plain.sendall(b"EHLO client.example\r\n")
        while stream.readline()[3:4] == b"-":
            pass
        plain.sendall(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<injected@b.example>\r\n")
        assert stream.readline().startswith(b"220 ")
        # What was injected is read as a handshake at most, and is none.
        context = secure.context(check_hostname=False)
        try:
            tls = context.wrap_socket(plain)
        except (ssl.SSLError, OSError):
            tls = None
        if tls:
            tls.sendall(b"MAIL FROM:<a@b.example>\r\n")
            assert tls.makefile("rb").readline().startswith(b"503 "), "the greeting was injected"
    assert not any("injected" in line for line in secure.serve.said)


def test_a_client_that_speaks_plainly_where_tls_begins_at_once(secure):
    with socket.create_connection(("127.0.0.1", secure.implicit), timeout=30) as plain:
        plain.sendall(b"EHLO client.example\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not plain.makefile("rb").read().startswith(b"2")
    wait_for(lambda: any("TLS failed" in line for line in secure.serve.said), "the reason to be said")
    with secure.smtps() as client:
        send(client)


def test_a_handshake_that_never_comes_holds_up_no_stop(secure):
    with socket.create_connection(("127.0.0.1", secure.implicit)), secure.smtp(secure.starttls) as client:
        client.ehlo()
        assert client.docmd("STARTTLS")[0] == 220
        assert secure.serve.stop() == 0
    assert not any("not all was finished" in line for line in secure.serve.said)


def test_nothing_is_said_in_the_clear_where_tls_begins_at_once(secure):
    secure.serve.stop()
    secure.mailroot.configure(limits={"connections": 1})
    secure = Secure(secure.mailroot, secure.certificate)
    with secure.smtps() as client:
        client.ehlo()
        with socket.create_connection(("127.0.0.1", secure.implicit), timeout=30) as one_too_many:
            with contextlib.suppress(ConnectionResetError):
                assert one_too_many.recv(100) == b""


def test_a_client_that_does_not_trust_us(secure):
    with secure.smtp(secure.starttls) as client:
        with pytest.raises(ssl.SSLError):
            client.starttls(context=ssl.create_default_context())
    with secure.smtps() as client:
        send(client)


def test_the_certificate_is_read_again(secure, workspace):
    old = ssl.get_server_certificate(("127.0.0.1", secure.implicit))
    with secure.smtps() as client:
        client.ehlo()
        Certificate(workspace / "tls", name="other.local.example")
        secure.serve.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "mailroot: reloaded certificate, users and recipients" in secure.serve.said, "the service to reload")
        send(client)  # a session keeps what it began with
    assert ssl.get_server_certificate(("127.0.0.1", secure.implicit)) != old
    secure.certificate.key.write_text("no key")
    secure.serve.process.send_signal(signal.SIGHUP)
    wait_for(lambda: any("not reloaded" in line for line in secure.serve.said), "the reason to be said")
    assert any(str(secure.certificate.key) in line for line in secure.serve.said)
    with secure.smtps() as client:
        client.ehlo()


@pytest.mark.parametrize(
    "broken, said",
    [
        ({"certificate": "/no/such/file"}, "/no/such/file"),
        ({"key": "/no/such/key"}, "/no/such/key"),
    ],
)
def test_what_cannot_be_read_is_named(broken, said, mailroot, certificate):
    mailroot.configure(tls=certificate.settings | broken)
    done = mailroot.run("serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 78 and said in done.stderr


def test_a_key_that_is_not_the_certificates(mailroot, certificate, workspace):
    other = Certificate(workspace / "other")
    mailroot.configure(tls=certificate.settings | {"key": str(other.key)})
    done = mailroot.run("serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 78 and str(other.key) in done.stderr


def test_an_rsa_key(mailroot, workspace):
    secure = Secure(mailroot, Certificate(workspace / "rsa", kind=("-newkey", "rsa:2048")))
    with secure.smtps(maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        send(client)
    assert "ECDHE-RSA" in received(mailroot)


def test_sslscan_finds_nothing_weak(secure):
    said = subprocess.run(
        ["sslscan", "--no-colour", "--starttls-smtp", f"127.0.0.1:{secure.starttls}"],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    for protocol in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert f"{protocol:9} disabled" in said, said
    for protocol in ("TLSv1.2", "TLSv1.3"):
        assert f"{protocol:9} enabled" in said, said
    assert "not vulnerable to heartbleed" in said
    assert "Session renegotiation not supported" in said, said
    accepted = [line for line in said.splitlines() if line.startswith(("Accepted", "Preferred"))]
    assert accepted and all(" 128 bits" in line or " 256 bits" in line for line in accepted)
    assert all("TLS_" in line or "ECDHE-" in line for line in accepted), said
    assert "ffdhe" not in said, said
