"""Hosts to send to: near and far away."""

import subprocess
import threading
import time

from disk import BUILD
from harness.loopback import wait_until_open

BARE_HOST = BUILD / "bench/bench_bare_host"
LONG_LINK = BUILD / "bench/bench_long_link"


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
