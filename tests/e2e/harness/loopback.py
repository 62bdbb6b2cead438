"""Addresses that no other test uses at the same time."""

import os
import socket

from .waiting import wait_for


class Loopback:
    """A 127.x.y.0/24 of this process's own, so that ports cannot collide with a test that runs beside it."""

    def __init__(self):
        pid = os.getpid()
        self.prefix = f"127.{1 + (pid >> 8) % 254}.{pid % 256}"

    def host(self, number):
        return f"{self.prefix}.{number}"

    def free_port(self):
        """Free for TCP and UDP on every address of the block."""
        while True:
            with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
                tcp.bind((self.host(1), 0))
                port = tcp.getsockname()[1]
                try:
                    udp.bind((self.host(1), port))
                    return port
                except OSError:
                    continue


def accepts(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_until_open(address, port, process, what):
    """For a server that was just started: its port answers, or it has ended and the test fails."""

    def ready():
        assert process.poll() is None, f"{what} ended with {process.returncode}"
        return accepts(address, port)

    wait_for(ready, f"{what} on {address}:{port}")
