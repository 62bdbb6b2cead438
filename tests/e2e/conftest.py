import os
import pathlib
import tempfile

import pytest

from harness.chain import DOMAIN, Chain
from harness.forwarder import Forwarder
from harness.loopback import Loopback
from harness.mailroot import Mailroot
from harness.nsd import Nsd
from harness.rude import Rude
from harness.scripted import LoginHost, Scripted
from harness.sink import SmtpSink
from harness.socks import Socks
from harness.token_endpoint import TokenEndpoint


@pytest.fixture
def workspace():
    """A folder that goes when the test ends; short, for the sockets that servers put there."""
    with tempfile.TemporaryDirectory(prefix="mailroot-e2e-") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture
def loopback():
    return Loopback()


@pytest.fixture
def new_mailroot(workspace):
    """new_mailroot(group={...}): a root of its own; whatever serves there ends with the test."""
    made = []

    def make(**settings):
        made.append(Mailroot(workspace / f"root{len(made)}", settings))
        return made[-1]

    yield make
    for mailroot in made:
        mailroot.close()


@pytest.fixture
def mailroot(new_mailroot):
    return new_mailroot()


@pytest.fixture
def nsd(workspace, loopback):
    """nsd(zone): a name server for it."""
    servers = []

    def start(zone, **options):
        servers.append(Nsd(workspace / f"nsd{len(servers)}", loopback, zone, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def forwarder(loopback, nsd):
    """forwarder(zone): a name server for it that counts what it is asked, and fails where it is told to."""
    servers = []

    def start(zone, **options):
        servers.append(Forwarder(loopback, nsd(zone, **options)))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def sink(workspace, loopback):
    """sink(address, port): an smtp-sink there."""
    sinks = []

    def start(address, port):
        sinks.append(SmtpSink(workspace / f"sink{len(sinks)}", address, port))
        return sinks[-1]

    yield start
    for server in sinks:
        server.stop()


@pytest.fixture
def scripted():
    """scripted(address, port, refuse={...}): an SMTP server that answers so."""
    servers = []

    def start(address, port, **replies):
        servers.append(Scripted(address, port, **replies))
        return servers[-1]

    yield start
    for server in servers:
        server.leave()


@pytest.fixture
def rude():
    """rude(address, port, offers=[...], says={...}): an SMTP server that behaves, but for what it says there."""
    servers = []

    def start(address, port, **manners):
        servers.append(Rude(address, port, **manners))
        return servers[-1]

    yield start
    for server in servers:
        server.leave()


@pytest.fixture
def socks():
    """socks(address, port, login=(user, password)): a SOCKS5 proxy."""
    servers = []

    def start(address, port, **options):
        servers.append(Socks(address, port, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.leave()


@pytest.fixture
def login_host():
    """login_host(address, port, {"joe": "password"}): an SMTP server that wants a login."""
    servers = []

    def start(address, port, secrets, **how):
        servers.append(LoginHost(address, port, secrets, **how))
        return servers[-1]

    yield start
    for server in servers:
        server.leave()


@pytest.fixture
def endpoint(workspace):
    """An OAuth2 token endpoint, and the authority that signed its certificate."""
    server = TokenEndpoint(workspace / "endpoint")
    yield server
    server.stop()


@pytest.fixture
def remote(new_mailroot, nsd, loopback):
    """A mailroot whose remote world is example.net, with two mail hosts on loopback."""
    return Remote(new_mailroot, nsd, loopback)


class Remote:
    """`first` is preferred, `second` next; both listen on `port` once a test starts something there."""

    def __init__(self, new_mailroot, nsd, loopback):
        self.first, self.second, self.port = loopback.host(11), loopback.host(12), loopback.free_port()
        self.dns = nsd(
            "example.net. MX 10 mx1.example.net.\n"
            "example.net. MX 20 mx2.example.net.\n"
            f"mx1.example.net. A {self.first}\n"
            f"mx2.example.net. A {self.second}\n"
            "example.org. MX 10 mx1.example.net.\n"
            "no-mail.example. MX 0 .\n"
            f"no-mail.example. A {self.first}\n"
            f"bare.example. A {self.first}\n"
            f"{DOMAIN}. MX 10 mx2.example.net.\n"
            "example.com. MX 10 mx1.example.net.\n"
            + "".join(f"example{n}.net. MX 10 mx1.example.net.\n" for n in range(3))
        )
        self.mailroot = new_mailroot(
            dns={"servers": [self.dns.server]},
            delivery={"port": self.port, "retry": ["1s"]},
        )


@pytest.fixture
def chain(workspace, loopback, remote):
    """Postfix and Dovecot behind the mail host of chain.example."""
    if os.geteuid() != 0:
        pytest.skip("Postfix and Dovecot need root to deliver")
    servers = Chain(workspace / "chain", loopback, remote.second, remote.port)
    yield servers
    servers.stop()


def pytest_sessionfinish(session, exitstatus):
    """A file of which nothing could run is shown by ctest as skipped, not as passed."""
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    if exitstatus == 0 and stats.get("skipped") and not stats.get("passed"):
        session.exitstatus = 77
