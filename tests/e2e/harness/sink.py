"""Postfix's smtp-sink: takes everything, fast, one file per message."""

import os
import subprocess
from dataclasses import dataclass

from .loopback import wait_until_open


@dataclass
class Dump:
    """One transaction as smtp-sink saw it. `content` has LF line ends, as dumps have."""

    sender: str
    recipients: list
    content: bytes


def parse_dump(octets):
    """Its X- lines, its own Received, then the message and an empty line."""
    head, arguments = octets, {}
    while not head.startswith(b"Received: "):
        line, _, head = head.partition(b"\n")
        name, _, value = line.partition(b": ")
        arguments.setdefault(name, []).append(value.decode())
    head = head.partition(b"\n")[2]
    while head.startswith(b"\t"):
        head = head.partition(b"\n")[2]

    def path(value):
        return value[value.index("<") + 1 : value.index(">")]

    return Dump(
        path(arguments[b"X-Mail-Args"][0]),
        [path(v) for v in arguments[b"X-Rcpt-Args"]],
        head.removesuffix(b"\n"),
    )


class SmtpSink:
    """Without `dump` it only throws away, at full speed."""

    def __init__(self, folder, address, port, dump=True):
        folder.mkdir()
        self.folder, self.address, self.port = folder, address, port
        privileges = ["-u", "root"] if os.geteuid() == 0 else []
        dumping = ["-d", "%M."] if dump else []
        self.process = subprocess.Popen(
            ["/usr/sbin/smtp-sink", *privileges, *dumping, f"{address}:{port}", "128"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        wait_until_open(address, port, self.process, "smtp-sink")

    def count(self):
        return sum(1 for _ in self.folder.iterdir())

    def dumps(self):
        return [parse_dump(path.read_bytes()) for path in sorted(self.folder.iterdir())]

    def stop(self):
        self.process.terminate()
        self.process.wait()
