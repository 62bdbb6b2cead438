"""Thousands of clients that are connected and say nothing, and large messages on their way to the disk."""

import contextlib
import pathlib
import resource
import socket
import ssl
import time

from disk import scratch
from figures import heading, ratios, resident_octets, row
from harness.accounts import Certificate
from scene import new_mailroot, serving

SESSIONS = 5000
NEW_SESSIONS = 50
MESSAGE = 200 << 20
HEADER = b"Subject: a large one\r\n\r\n"
BLOCK = b"x" * 998 + b"\r\n"


class Client:
    """A connection that was greeted."""

    def __init__(self, server, tls=None):
        address, port = server.split(":")
        self.socket = socket.create_connection((address, int(port)), timeout=60)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address)
        self.hear()
        self.ask(b"EHLO client.example\r\n")

    def hear(self):
        said = b""
        while not said.endswith(b"\r\n") or said.splitlines()[-1][3:4] == b"-":
            more = self.socket.recv(4096)
            assert more, said
            said += more
        return said

    def ask(self, octets):
        self.socket.sendall(octets)
        return self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def time_of_new_sessions(server, tls):
    """Seconds from connect to the reply to EHLO, the longest of some."""
    longest = 0
    for _ in range(NEW_SESSIONS):
        began = time.monotonic()
        with Client(server, tls):
            longest = max(longest, time.monotonic() - began)
    return longest


def idle_sessions(mailroot, tls):
    """Octets of resident memory for each, and the time of a new session beside none and beside all of them."""
    with serving(mailroot) as service, contextlib.ExitStack() as clients:
        alone = time_of_new_sessions(service.server, tls)
        before = resident_octets(service.pid)
        for _ in range(SESSIONS):
            clients.enter_context(Client(service.server, tls))
        each = (resident_octets(service.pid) - before) / SESSIONS
        return each, alone, time_of_new_sessions(service.server, tls)


def peak_octets(pid):
    """Of resident memory, since it was last reset."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def growth(mailroot, verb):
    """Octets by which memory grows at most while a message of 200 MiB comes in."""
    blocks = MESSAGE // len(BLOCK)
    with serving(mailroot) as service, Client(service.server) as client:
        before = peak_after_reset(service.pid)
        client.ask(b"MAIL FROM:<app@elsewhere.example>\r\n")
        client.ask(b"RCPT TO:<ann@local.example>\r\n")
        if verb == "DATA":
            client.ask(b"DATA\r\n")
        else:
            client.socket.sendall(b"BDAT %d LAST\r\n" % (len(HEADER) + blocks * len(BLOCK)))
        client.socket.sendall(HEADER)
        for _ in range(blocks):
            client.socket.sendall(BLOCK)
        said = client.ask(b".\r\n" if verb == "DATA" else b"")
        assert said.startswith(b"250 "), said
        return peak_octets(service.pid) - before


def peak_after_reset(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_octets(pid)


def measure(runs):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limits = {"connections": 2 * SESSIONS, "messageSize": "1G", "sessionSize": 0}
    with scratch() as folder:
        certificate = Certificate(folder / "tls")
        tls = ssl.create_default_context(cafile=certificate.certificate)
        plain = new_mailroot(folder / "plain", limits=limits)
        secure = new_mailroot(
            folder / "secure", limits=limits, tls=certificate.settings, listen=["127.0.0.1:0 implicit"]
        )
        kinds = {
            "plain": ([idle_sessions(plain, None) for _ in range(runs)], "limit 20,480"),
            "TLS": ([idle_sessions(secure, tls) for _ in range(runs)], "limit 92,160"),
        }
        grown = {verb: [growth(plain, verb) for _ in range(runs)] for verb in ("DATA", "BDAT")}
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    heading(f"sessions: {SESSIONS:,} that say nothing, {runs} runs")
    for kind, (figures, limit) in kinds.items():
        each, alone, beside = zip(*figures, strict=True)
        row(f"{kind}: resident memory of each, octets", each, limit)
        row(f"{kind}: longest of {NEW_SESSIONS} new sessions alone, ms", [1000 * s for s in alone])
        row(f"{kind}: the same beside all, ms", [1000 * s for s in beside], "limit 100")
        row(f"{kind}: ratio", ratios(beside, alone))
    for verb, figures in grown.items():
        row(f"growth of memory by 200 MiB through {verb}, octets", figures, "limit 1,048,576")
