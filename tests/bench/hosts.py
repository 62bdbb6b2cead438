"""Hosts to send to: near, far away, dead."""

import contextlib
import socket
import subprocess
import threading
import time

from disk import BUILD
from harness.loopback import wait_until_open

BARE_HOST = BUILD / "bench/bench_bare_host"
LONG_LINK = BUILD / "bench/bench_long_link"

SYN, ACK = 0x02, 0x10
SO_RCVBUFFORCE = 33  # of <asm-generic/socket.h>; Python does not name it


def zone(hosts):
    """For a name server: each domain and the address of its mail host."""
    return "".join(
        f"{domain}. MX 10 mx.{domain}.\nmx.{domain}. A {address}\n" for domain, address in hosts.items()
    )


class BareHost:
    """Takes everything, at each of these addresses, and costs next to nothing."""

    def __init__(self, port, addresses, offers="pipelining"):
        self.process = subprocess.Popen([BARE_HOST, offers, str(port), *addresses], stdout=subprocess.PIPE)
        self.taken = {}  # when, by recipient
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        wait_until_open(addresses[-1], port, self.process, "bare_host")

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.taken.setdefault(line.decode().strip(), time.monotonic())
                self.changed.notify_all()

    def wait(self, count, seconds=300):
        """The time at which it had mail for so many recipients."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.taken) >= count, seconds)
            assert len(self.taken) >= count, f"bare_host has {len(self.taken)} of {count}"
            return list(self.taken.values())[count - 1]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


class LongLink:
    """At `near` begins a long way to `far`."""

    def __init__(self, near, far, port, round_trip):
        one_way = round(1000 * round_trip / 2)
        self.process = subprocess.Popen([LONG_LINK, near, far, str(port), str(one_way)])
        wait_until_open(near, port, self.process, "long_link")

    def close(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def refusing(_address, _port):
    """Nobody listens."""
    yield


@contextlib.contextmanager
def silent(address, port):
    """Answers nobody: one who connected first is never taken, and there is no room for a second one to wait."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        with socket.create_connection((address, port)):
            yield


class Probes:
    """When connections to an address were begun, answered or not. It sees the packets, which takes root."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((address, 0))
        self.socket.settimeout(0.1)
        self.begun = {}  # when, by port and sequence number: a SYN that is sent again is no other connection
        self.stopping = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                packet = self.socket.recv(128)
                tcp = packet[4 * (packet[0] & 15) :]
                if tcp[13] & (SYN | ACK) == SYN:
                    self.begun.setdefault((tcp[:2], tcp[4:8]), time.monotonic())

    def between(self, start, end):
        return [when for when in list(self.begun.values()) if start <= when < end]

    def close(self):
        self.stopping.set()
        self.reader.join()
        self.socket.close()
