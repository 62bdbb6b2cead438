"""A real Postfix that delivers into maildirs which a real Dovecot serves over POP3 and IMAP.

Nothing of the machine's own Postfix or Dovecot is touched: configuration, queue, state and mail are in
one folder, the ports on the test's own loopback addresses. Needs root, as both programs do."""

import subprocess

from .loopback import wait_until_open
from .waiting import wait_for

DOMAIN = "chain.example"
OWNER = "nobody"

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
smtpd_peername_lookup = no
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 100
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
proxymap  unix  - - n -     - proxymap
error     unix  - - n -     - error
retry     unix  - - n -     - error
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
showq     unix  n - n -     - showq
postlog   unix-dgram n - n - 1 postlogd
"""

DOVECOT_CONF = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = pop3 imap
listen = {address}
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/all
first_valid_uid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class Chain:
    def __init__(self, folder, loopback, address, port):
        folder.mkdir(mode=0o755)
        self.folder = folder
        uid, gid = (int(word) for word in run("sh", "-c", f"id -u {OWNER}; id -g {OWNER}").split())
        self.address = address
        self.pop3, self.imap = loopback.free_port(), loopback.free_port()
        values = {
            "folder": folder, "domain": DOMAIN, "address": address, "port": port,
            "uid": uid, "gid": gid, "pop3": self.pop3, "imap": self.imap,
        }  # fmt: skip
        for name in ["queue", "data", "mail", "postfix", "run", "state"]:
            (folder / name).mkdir()
        run("chown", "postfix", folder / "data")
        run("chown", OWNER, folder / "mail")
        (folder / "postfix/main.cf").write_text(MAIN_CF.format(**values))
        (folder / "postfix/master.cf").write_text(MASTER_CF.format(**values))
        (folder / "dovecot.conf").write_text(DOVECOT_CONF.format(**values))

        run("/usr/sbin/postfix", "-c", folder / "postfix", "start")
        self.dovecot = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", folder / "dovecot.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for open_port in (self.pop3, self.imap):
            wait_until_open(address, open_port, self.dovecot, "dovecot")
        wait_until_open(address, port, self.dovecot, "postfix")

    def arrived(self):
        return [path for path in self.folder.glob("mail/all/*/*") if path.parent.name in ("new", "cur")]

    def read_by_pop3(self, number):
        return curl(f"pop3://{self.address}:{self.pop3}/{number}")

    def read_by_imap(self, number):
        """The message as IMAP's FETCH gives it; octets, for curl writes what the literal holds."""
        return curl(f"imap://{self.address}:{self.imap}/INBOX;MAILINDEX={number}")

    def stop(self):
        run("/usr/sbin/postfix", "-c", self.folder / "postfix", "stop")
        self.dovecot.terminate()
        self.dovecot.wait()
        # Postfix's master answers `stop` before its last child has gone.
        pid = self.folder / "queue/pid/master.pid"
        wait_for(lambda: not pid.exists() or not locked(pid), "postfix to end")


def locked(path):
    return subprocess.run(["flock", "-n", path, "true"], check=False).returncode != 0


def curl(url):
    return subprocess.run(
        ["curl", "-sS", "--fail", "--user", "reader:secret", url], check=True, stdout=subprocess.PIPE
    ).stdout


def run(*command):
    return subprocess.run(
        command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ).stdout
