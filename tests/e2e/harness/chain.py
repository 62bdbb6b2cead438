"""A real Postfix that delivers into maildirs which a real Dovecot serves over POP3 and IMAP.

Nothing of the machine's own Postfix or Dovecot is touched: configuration, queue, state and mail are in
one folder, the ports on the test's own loopback addresses. Needs root, as both programs do."""

import subprocess

from .loopback import wait_until_open
from .postfix import Postfix, run

DOMAIN = "chain.example"
OWNER = "nobody"

VIRTUAL = """
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 100
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/run/auth-client
"""

DOVECOT_CONF = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = pop3 imap
listen = {address}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5
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
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
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
        for name in ["mail", "run", "state"]:
            (folder / name).mkdir()
        run("chown", OWNER, folder / "mail")
        (folder / "dovecot.conf").write_text(DOVECOT_CONF.format(**values))

        self.dovecot = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", folder / "dovecot.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for open_port in (self.pop3, self.imap):
            wait_until_open(address, open_port, self.dovecot, "dovecot")
        # It asks Dovecot who may log in, from the first connection on.
        self.postfix = Postfix(folder, address, port, f"mx.{DOMAIN}", VIRTUAL.format(**values))

    def arrived(self):
        return [path for path in self.folder.glob("mail/all/*/*") if path.parent.name in ("new", "cur")]

    def read_by_pop3(self, number):
        return curl(f"pop3://{self.address}:{self.pop3}/{number}")

    def read_by_imap(self, number):
        """The message as IMAP's FETCH gives it; octets, for curl writes what the literal holds."""
        return curl(f"imap://{self.address}:{self.imap}/INBOX;MAILINDEX={number}")

    def stop(self):
        self.postfix.stop()
        self.dovecot.terminate()
        self.dovecot.wait()


def curl(url):
    return subprocess.run(
        ["curl", "-sS", "--fail", "--user", "reader:secret", url], check=True, stdout=subprocess.PIPE
    ).stdout
