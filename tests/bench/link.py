"""Many messages to one host that is far away, beside Postfix."""

import contextlib
import os
import subprocess
import time

from disk import WaitingMail, scratch
from figures import heading, ratios, row, wait_quiet
from harness.loopback import Loopback
from harness.postfix import Postfix
from harness.waiting import wait_for
from hosts import BareHost, LongLink
from scene import count_files, new_mailroot, serving, smtp_source

COUNT = 500
OCTETS = 4096
CONNECTIONS = 20
ROUND_TRIP = 0.050
# What the host offers, and the limits: in times of Postfix.
HOSTS = {"pipelining": "limit 2", "chunking": "limit 3"}

# On hold they wait until they are released. Postfix begins with five connections unless it is told another number;
# it keeps them as long as there is mail, and so do we.
POSTFIX = """
relayhost = [{address}]:{port}
default_destination_concurrency_limit = {connections}
smtpd_client_restrictions = static:hold
"""
AT_ONCE = f"initial_destination_concurrency = {CONNECTIONS}\n"


@contextlib.contextmanager
def far_host(loopback, offers):
    """The address and port of its near end, and the host."""
    near, far, port = loopback.host(10), loopback.host(11), loopback.free_port()
    with contextlib.closing(BareHost(port, [far], offers)) as host:
        with contextlib.closing(LongLink(near, far, port, ROUND_TRIP)):
            yield near, port, host


def mailroot_rate(folder, loopback, offers):
    """Messages a second from the moment at which they are moved into Queue."""
    with far_host(loopback, offers) as (address, port, host):
        mailroot = new_mailroot(
            folder / "root",
            delivery={
                "smartHost": f"[{address}]:{port}",
                "connectionsPerDomain": CONNECTIONS,
                "messagesPerConnection": COUNT,
            },
        )
        written = folder / "written"
        written.mkdir()
        WaitingMail(written, COUNT, OCTETS, [f"{n}@example.net" for n in range(COUNT)]).lay(due=-60)
        with serving(mailroot) as service:
            assert service.server
            wait_quiet(service.pid)
            started = time.monotonic()
            for path in written.iterdir():
                path.rename(mailroot.folder("Queue") / path.name)
            return COUNT / (host.wait(COUNT) - started)


def postfix_rate(folder, loopback, offers, settings=""):
    """Messages a second from the moment at which it is told to flush its queue."""
    with far_host(loopback, offers) as (address, port, host):
        settings += POSTFIX.format(address=address, port=port, connections=CONNECTIONS)
        postfix = Postfix(folder, "127.0.0.1", loopback.free_port(), "relay.example", settings)
        configuration = folder / "postfix"
        try:
            server = f"{postfix.address}:{postfix.port}"
            smtp_source(server, "ann@example.net", COUNT, OCTETS, "-N", "-s", "5")
            wait_for(lambda: count_files(folder / "queue/hold") == COUNT, "all to be on hold")
            # Behind this they are deferred, and only a flush or the next of its own scans sends them.
            subprocess.run(["postsuper", "-c", configuration, "-H", "ALL"], check=True, capture_output=True)
            started = time.monotonic()
            subprocess.run(["postqueue", "-c", configuration, "-f"], check=True)
            return COUNT / (host.wait(COUNT) - started)
        finally:
            postfix.stop()


def postfix_at_once_rate(folder, loopback, offers):
    return postfix_rate(folder, loopback, offers, AT_ONCE)


RATES = {
    "mailroot": mailroot_rate,
    "Postfix": postfix_rate,
    f"Postfix that begins with {CONNECTIONS} connections": postfix_at_once_rate,
}


def measure(runs):
    if os.geteuid() != 0:
        print("\nlink is left out: Postfix needs root")
        return
    loopback = Loopback()
    for offers, limit in HOSTS.items():
        rates = {name: [] for name in RATES}
        for _ in range(runs):
            for name, rate in RATES.items():
                with scratch() as folder:
                    rates[name].append(rate(folder, loopback, offers))
        heading(
            f"link: {COUNT} messages of {OCTETS} octets a second over {CONNECTIONS} connections to a host that is"
            f" {ROUND_TRIP * 1000:.0f} ms away and back and offers {offers}, {runs} runs"
        )
        for name, found in rates.items():
            row(name, found)
            if name != "mailroot":
                row("  mailroot in times of that", ratios(rates["mailroot"], found), limit)
