"""TLS on the way out: `delivery.tls`, and that of one domain."""

import socketserver
import ssl
import threading

import pytest

from harness.accounts import Certificate
from harness.mail import envelope_block, message, without_trace
from harness.waiting import wait_for

RECIPIENT = "ann@example.net"


@pytest.fixture
def world(remote, workspace):
    """mx1.example.net has a certificate that its own authority signed, and the mailroot trusts it alone."""
    remote.certificate = Certificate(workspace / "tls", name="mx1.example.net")
    remote.mailroot.configure(tls={"authorities": str(remote.certificate.certificate)}, delivery={"retry": ["1h"]})
    return remote


def server_context(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def submit(world):
    sent = message()
    world.mailroot.submit("m.eml", envelope_block("app@local.example", RECIPIENT) + sent)
    return sent


def deferred(serve, words):
    wait_for(
        lambda: any(f"deferred {RECIPIENT}" in line and words in line for line in serve.said),
        f"a deferral that says {words}",
    )


def said(serve, words):
    return any(f"delivered {RECIPIENT}" in line and words in line for line in serve.said)


def test_how_it_was_encrypted_stands_in_the_history(world, scripted):
    host = scripted(
        world.first, world.port, tls=server_context(world.certificate), refuse={RECIPIENT: "451 4.3.0 later"}
    )
    serve = world.mailroot.serve()
    submit(world)
    deferred(serve, "(TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified)")
    assert host.attempts == [RECIPIENT]
    (waiting,) = wait_for(lambda: world.mailroot.report("queue-report")["messages"], "it to be listed")
    assert waiting["recipients"][0]["lastTls"] == "TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified"


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_where_the_host_offers_it(world, scripted, policy):
    world.mailroot.configure(delivery={"tls": policy})
    host = scripted(world.first, world.port, tls=server_context(world.certificate))
    serve = world.mailroot.serve()
    sent = submit(world)
    world.mailroot.wait_idle()
    (taken,) = host.taken
    assert taken.encrypted and without_trace(taken.content) == sent
    assert said(serve, "(TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified)")
    assert serve.stop() == 0


def test_none_is_none(world, scripted):
    world.mailroot.configure(delivery={"tls": "none"})
    host = scripted(world.first, world.port, tls=server_context(world.certificate))
    world.mailroot.serve()
    submit(world)
    world.mailroot.wait_idle()
    assert not host.taken[0].encrypted


@pytest.mark.parametrize("policy, goes", [("may", True), ("encrypt", False), ("verify", False)])
def test_where_the_host_does_not_offer_it(world, scripted, policy, goes):
    world.mailroot.configure(delivery={"tls": policy})
    host = scripted(world.first, world.port)
    serve = world.mailroot.serve()
    submit(world)
    if goes:
        world.mailroot.wait_idle()
        assert not host.taken[0].encrypted
    else:
        deferred(serve, "the host does not offer TLS, and it is asked for")
        assert not host.taken


WRONG = {"name": "of another host", "authority": "self-signed certificate", "date": "certificate has expired"}


@pytest.mark.parametrize("policy, goes", [("may", True), ("encrypt", True), ("verify", False)])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_certificate_that_does_not_fit(world, scripted, workspace, policy, goes, wrong):
    certificate = Certificate(
        workspace / "wrong",
        name="mx9.example.net" if wrong == "name" else "mx1.example.net",
        under=("faketime", "2 years ago") if wrong == "date" else (),
    )
    authority = world.certificate if wrong == "authority" else certificate
    world.mailroot.configure(
        tls={"authorities": str(authority.certificate)}, delivery={"tls": "none"},
        domains={"remote": {"*.net": {"tls": policy}}},
    )  # fmt: skip
    host = scripted(world.first, world.port, tls=server_context(certificate))
    serve = world.mailroot.serve()
    submit(world)
    if goes:
        world.mailroot.wait_idle()
        assert host.taken[0].encrypted
        assert said(serve, f"certificate {WRONG[wrong]}")
    else:
        deferred(serve, "no TLS: ")
        assert not host.taken


class Broken(socketserver.StreamRequestHandler):
    """Offers STARTTLS, and then has no idea of it; in the clear it takes mail."""

    def handle(self):
        self.wfile.write(b"220 broken\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-broken\r\n250 STARTTLS\r\n")
            elif verb == b"STAR":
                self.wfile.write(b"220 go ahead\r\n")
                self.wfile.write(b"500 what?\r\n" * 10)
                return
            elif verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.server.taken.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                self.wfile.write(b"250 taken\r\n")
            else:
                self.wfile.write(b"250 OK\r\n")


@pytest.fixture
def broken(world):
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer((world.first, world.port), Broken) as server:
        server.daemon_threads, server.taken = True, []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("policy, goes", [("may", True), ("encrypt", False)])
def test_a_handshake_that_fails(world, broken, policy, goes):
    world.mailroot.configure(delivery={"tls": policy})
    serve = world.mailroot.serve()
    submit(world)
    if goes:
        world.mailroot.wait_idle()
        assert len(broken.taken) == 1
    else:
        deferred(serve, "no TLS: ")
        assert not broken.taken


def test_our_own_server_takes_it(remote, new_mailroot, workspace):
    """Two mailroots, one to the other, by BDAT under TLS."""
    certificate = Certificate(workspace / "tls", name="mx1.example.net")
    other = new_mailroot(
        hostname="mx1.example.net", domains={"default": "example.net"}, tls=certificate.settings
    )
    other.serve("--listen", f"{remote.first}:{remote.port}")
    remote.mailroot.configure(tls={"authorities": str(certificate.certificate)}, delivery={"tls": "verify"})
    remote.mailroot.serve()
    sent = submit(remote)
    (path,) = other.wait_files("Drop")
    octets = path.read_bytes()
    assert octets.endswith(sent)
    assert b" with ESMTPS" in octets.partition(b"Received: ")[2].partition(b"Received: ")[0]
