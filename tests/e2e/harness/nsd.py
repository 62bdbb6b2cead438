"""Debian's nsd, authoritative for the root zone: every name it does not know is NXDOMAIN."""

import subprocess

from .loopback import wait_until_open

CONFIGURATION = """
server:
    ip-address: {address}
    port: {port}
    username: ""
    chroot: ""
    server-count: 1
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    cookie-secret-file: "{folder}/cookie"
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "."
    zonefile: "zone"
"""

HEAD = """$TTL 60
. SOA ns. hostmaster. 1 3600 600 86400 {negative}
. NS ns.
ns. A 127.0.0.1
"""


class Nsd:
    """`zone` holds master file lines with absolute names: `example.net. MX 10 mx.example.net.`.
    What is not there is not there for `negative` seconds."""

    def __init__(self, folder, loopback, zone, negative=1):
        folder.mkdir()
        self.address, self.port = loopback.host(1), loopback.free_port()
        self.server = f"{self.address}:{self.port}"
        (folder / "zone").write_text(HEAD.format(negative=negative) + zone)
        (folder / "nsd.conf").write_text(
            CONFIGURATION.format(address=self.address, port=self.port, folder=folder)
        )
        self.process = subprocess.Popen(
            ["/usr/sbin/nsd", "-d", "-c", folder / "nsd.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_open(self.address, self.port, self.process, "nsd")

    def stop(self):
        self.process.terminate()
        self.process.wait()
