"""A real Postfix of its own: nothing of the machine's is touched. Needs root, as it does."""

import subprocess

from .loopback import accepts
from .waiting import wait_for

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
myhostname = {name}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
smtpd_peername_lookup = no
"""

MASTER_CF = """
{address}:{port} inet n - n - - smtpd
pickup    unix  n - n 60    1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
tlsmgr    unix  - - n 1000? 1 tlsmgr
proxymap  unix  - - n -     - proxymap
error     unix  - - n -     - error
retry     unix  - - n -     - error
smtp      unix  - - n -     - smtp
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
showq     unix  n - n -     - showq
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """`settings` are lines of main.cf."""

    def __init__(self, folder, address, port, name, settings):
        self.folder, self.address, self.port = folder, address, port
        values = {"folder": folder, "name": name, "address": address, "port": port}
        for part in ["queue", "data", "postfix"]:
            (folder / part).mkdir()
        run("chown", "postfix", folder / "data")
        (folder / "postfix/main.cf").write_text(MAIN_CF.format(**values) + settings)
        (folder / "postfix/master.cf").write_text(MASTER_CF.format(**values))
        run("/usr/sbin/postfix", "-c", folder / "postfix", "start")
        wait_for(lambda: accepts(address, port), f"postfix on {address}:{port}")

    def configure(self, name, value):
        run("/usr/sbin/postconf", "-c", self.folder / "postfix", "-e", f"{name} = {value}")
        run("/usr/sbin/postfix", "-c", self.folder / "postfix", "reload")

    def log(self):
        return (self.folder / "postfix.log").read_text()

    def stop(self):
        run("/usr/sbin/postfix", "-c", self.folder / "postfix", "stop")
        # Postfix's master answers `stop` before its last child has gone.
        pid = self.folder / "queue/pid/master.pid"
        wait_for(lambda: not pid.exists() or not locked(pid), "postfix to end")


def locked(path):
    return subprocess.run(["flock", "-n", path, "true"], check=False).returncode != 0


def run(*command):
    return subprocess.run(
        command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ).stdout
