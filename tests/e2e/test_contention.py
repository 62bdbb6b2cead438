"""Four processes work on one queue at once: each message goes out exactly once, and each process has its share."""

import json
import subprocess
from collections import Counter

from harness.length import length
from harness.load import key_of, put_into_pickup, put_into_queue
from harness.mailroot import PROGRAM

QUEUED = length(1500, 10000)
WRITTEN = length(600, 2000)
PATIENCE = 240


def begin(mailroot, *command):
    return subprocess.Popen(
        [PROGRAM, "-q", "--root", mailroot.root, *command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def delivered_by(process):
    output, said = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 75), said.decode()[-2000:]
    return json.loads(output)["delivered"]


def test_four_processes_deliver_each_message_once(remote, sink, capsys):
    taken = sink(remote.first, remote.port)
    mailroot = remote.mailroot
    # A pass has as many messages in hand as it may have connections: so few that all meet at the same ones, and
    # that smtp-sink takes the connections of all four.
    mailroot.configure(delivery={"connections": 20})
    mailroot.create()
    queued = [f"remote-queued-{number}" for number in range(QUEUED)]
    written = [f"remote-written-{number}" for number in range(WRITTEN)]
    for key in queued:
        put_into_queue(mailroot, key)
    for key in written:
        put_into_pickup(mailroot, key)

    drain = begin(mailroot, "pickup-drain")
    retries = [begin(mailroot, "queue-retry", "--all") for _ in range(2)]
    serve = mailroot.serve()
    shares = [delivered_by(process) for process in (drain, *retries)]
    mailroot.wait_idle(PATIENCE)
    assert serve.stop() == 0

    counted = Counter(key_of(dump.content) for dump in taken.dumps())
    assert counted == Counter(queued + written)
    shares.append(QUEUED + WRITTEN - sum(shares))
    assert min(shares) > 0, shares
    with capsys.disabled():
        print(
            f"\ncontention: {QUEUED + WRITTEN} messages queued or written, all arrived; 0 duplicates, 0 allowed;"
            f" pickup-drain {shares[0]}, queue-retry {shares[1]} and {shares[2]}, serve {shares[3]}"
        )
