"""Four processes work on one queue at once: each message goes out exactly once, and each process has its share."""

import json
import os
import subprocess
import time
from collections import Counter

from harness.length import length
from harness.load import key_of, numbered
from harness.mail import envelope_block
from harness.mailroot import PROGRAM

QUEUED = length(1500, 10000)
WRITTEN = length(600, 2000)
PATIENCE = 240

# Between FILETIME's epoch, 1601, and that of time.time().
FILETIME_EPOCH = 11644473600


def new_id(number):
    """As another process would have drawn it, a minute ago."""
    filetime = int((time.time() - 60 + FILETIME_EPOCH) * 10**7) + number
    return f"{filetime:016x}{0xC0FFEE:08x}"


def put_into_queue(mailroot, number):
    """Accepted, not settled, and due."""
    key = f"queued-{number}"
    block = "x-sender: <app@local.example>\r\nx-receiver: <ann@example.net>\r\n"
    trace = "Received: from client.example by mail.local.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n"
    path = mailroot.folder("Queue") / f"{new_id(number)}.eml"
    path.write_bytes((block + trace).encode() + numbered(key))
    os.utime(path, (time.time() - 60,) * 2)
    return key


def put_into_pickup(mailroot, number):
    key = f"written-{number}"
    mailroot.submit(f"{key}.eml", envelope_block("app@local.example", "ann@example.net") + numbered(key))
    return key


def begin(mailroot, *command):
    return subprocess.Popen(
        [PROGRAM, "--root", mailroot.root, *command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def delivered_by(process):
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 75)
    return json.loads(output)["delivered"]


def test_four_processes_deliver_each_message_once(remote, sink, capsys):
    taken = sink(remote.first, remote.port)
    mailroot = remote.mailroot
    # A pass has as many messages in hand as it may have connections: so few that all meet at the same ones, and
    # that smtp-sink takes the connections of all four.
    mailroot.configure(delivery={"connections": 20})
    mailroot.create()
    keys = [put_into_queue(mailroot, number) for number in range(QUEUED)]
    keys += [put_into_pickup(mailroot, number) for number in range(WRITTEN)]

    drain = begin(mailroot, "pickup-drain")
    retries = [begin(mailroot, "queue-retry", "--all") for _ in range(2)]
    serve = mailroot.serve()
    shares = [delivered_by(process) for process in (drain, *retries)]
    mailroot.wait_idle(PATIENCE)
    assert serve.stop() == 0

    counted = Counter(key_of(dump.content) for dump in taken.dumps())
    assert counted == Counter(keys)
    shares.append(len(keys) - sum(shares))
    assert min(shares) > 0, shares
    with capsys.disabled():
        print(
            f"\ncontention: {len(keys)} messages queued or written, all arrived; 0 duplicates, 0 allowed;"
            f" pickup-drain {shares[0]}, queue-retry {shares[1]} and {shares[2]}, serve {shares[3]}"
        )
