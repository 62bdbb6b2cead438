"""A thousand messages of 4 KiB on each way through: none lost, none doubled."""

import subprocess
from collections import Counter

from harness.mail import envelope_block, message, split_block
from harness.waiting import wait_for

COUNT = 1000
PATIENCE = 240


def smtp_source(serve, recipient):
    """Every recipient gets a number in front (-N), by which each message can be told."""
    subprocess.run(
        ["smtp-source", "-s", "10", "-m", str(COUNT), "-l", "4096", "-N", "-c",
         "-f", "app@local.example", "-t", recipient, f"inet:{serve.server}"],
        check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE,
    )  # fmt: skip


def each_once(recipients, suffix):
    counted = Counter(recipients)
    assert len(counted) == COUNT and set(counted.values()) == {1}
    assert all(recipient.endswith(suffix) for recipient in counted)


def same_body(contents):
    """smtp-source sends one text again and again."""
    bodies = {content.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for content in contents}
    assert len(bodies) == 1 and len(bodies.pop()) > 3800


def test_smtp_to_drop(mailroot):
    serve = mailroot.serve()
    smtp_source(serve, "ann@local.example")
    files = mailroot.wait_files("Drop", COUNT, seconds=PATIENCE)
    blocks = [split_block(path.read_bytes())[0] for path in files]
    each_once([line.split(" ")[1] for block in blocks for line in block[1:]], "ann@local.example")
    same_body(path.read_bytes() for path in files)
    assert serve.stop() == 0


def test_smtp_to_sink(remote, sink):
    taken = sink(remote.first, remote.port)
    serve = remote.mailroot.serve()
    smtp_source(serve, "ann@example.net")
    wait_for(lambda: taken.count() >= COUNT, "all at the sink", PATIENCE)
    remote.mailroot.wait_idle(PATIENCE)
    dumps = taken.dumps()
    each_once([r for dump in dumps for r in dump.recipients], "ann@example.net")
    same_body(dump.content.replace(b"\n", b"\r\n") for dump in dumps)
    assert serve.stop() == 0


def test_pickup_to_sink(remote, sink):
    taken = sink(remote.first, remote.port)
    serve = remote.mailroot.serve()
    body = ("x" * 70 + "\r\n") * 57
    for number in range(COUNT):
        block = envelope_block("app@local.example", f"{number}ann@example.net")
        remote.mailroot.submit(f"{number}.eml", block + message(f"number {number}", body))
    wait_for(lambda: taken.count() >= COUNT, "all at the sink", PATIENCE)
    remote.mailroot.wait_idle(PATIENCE)
    dumps = taken.dumps()
    each_once([r for dump in dumps for r in dump.recipients], "ann@example.net")
    assert all(dump.content.replace(b"\n", b"\r\n").endswith(body.encode()) for dump in dumps)
    assert serve.stop() == 0
