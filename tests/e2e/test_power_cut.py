"""The power is cut at random moments under load: what was answered for is there, whole, and nothing older than the
second that removals may wait is doubled."""

import random
import subprocess
import time

import pytest

from harness.length import length
from harness.load import (
    Clients,
    Ledger,
    World,
    Writers,
    draw_seed,
    put_into_pickup,
    put_into_queue,
    shown,
    wait_settled,
)
from harness.mailroot import PROGRAM, Mailroot
from harness.volume import Volume
from harness.waiting import wait_for

CUTS = length(1, 25)
PATIENCE = length(60, 300)

# Removals are synced within a second, shared; the other second is for a slow disk.
NOT_YET_DURABLE = 2


@pytest.fixture
def world(remote, sink):
    made = World(remote, sink)
    yield made
    made.close()


@pytest.fixture(params=["ext4", "xfs"])
def volume(request, workspace):
    made = Volume(workspace / "volume", request.param)
    yield made
    made.close()


class Rounds:
    """serve under load on a volume, ended by power cuts. Each one is in `cuts`: when it came, and when serve, which
    could note nothing any more, had ended."""

    def __init__(self, mailroot, volume, ledger, chance):
        self.mailroot, self.volume, self.ledger, self.chance = mailroot, volume, ledger, chance
        self.cuts = []

    def cut_once(self, flush_log):
        serve = self.mailroot.serve()
        clients = Clients(serve, self.ledger, self.chance.random())
        writers = Writers(self.mailroot, self.ledger, self.chance.random(), durable=True)
        try:
            time.sleep(self.chance.uniform(0.3, 3))
            cut = time.time()
            self.volume.cut(flush_log)
            # What is answered for from here on is a lie.
            time.sleep(self.chance.uniform(0, 0.2))
            assert serve.running()
        finally:
            serve.kill()
            clients.join()
            writers.join()
        self.cuts.append((cut, time.time()))
        self.volume.remount()
        for key in writers.begun:
            # The application begins again with what it could not write.
            (self.mailroot.folder("Pickup") / f"{key}.eml").unlink(missing_ok=True)

    def account_for(self, moment):
        return any(cut - NOT_YET_DURABLE < moment <= ended + 1 for cut, ended in self.cuts)


def assert_nothing_half(mailroot):
    """As a reader of Drop and Badmail finds them."""
    shown(mailroot, "Drop")
    shown(mailroot, "Badmail")
    for bad in mailroot.files("Badmail", "*.bad"):
        for extension in (".bdp", ".bdr"):
            assert bad.with_suffix(extension).stat().st_size > 0


@pytest.mark.parametrize("flush_log", [False, True], ids=["log lost", "log kept"])
def test_a_power_cut_loses_nothing_that_was_answered_for(flush_log, volume, remote, world, capsys):
    chance = random.Random(draw_seed("power cut"))
    mailroot = Mailroot(volume.path / "root", remote.mailroot.settings).create()
    volume.sync()
    ledger = Ledger()
    rounds = Rounds(mailroot, volume, ledger, chance)
    try:
        for _ in range(CUTS):
            world.fickle.set_willing(chance.random() < 0.5)
            rounds.cut_once(flush_log)
            assert_nothing_half(mailroot)
        world.fickle.set_willing(True)
        serve = mailroot.serve()
        wait_settled(mailroot, PATIENCE)
        assert serve.stop() == 0
        assert_nothing_half(mailroot)
        kept = {place: shown(mailroot, place) for place in ("Drop", "Badmail")}
    finally:
        mailroot.close()

    for place, found in kept.items():
        assert not ledger.lost_at(place, found), f"lost on the way to {place}"
        assert set(found.values()) == {1}, f"doubled in {place}: {found.most_common(9)}"
    for place in ("steady", "fickle"):
        assert not ledger.lost_at(place, world.arrived(place)), f"lost on the way to {place}"
    doubled = world.doubled("steady") + world.doubled("fickle")
    assert all(rounds.account_for(moment) for moment in doubled), "doubled though it was long settled"
    assert set(ledger.count_by(1)) >= {"smtp", "renamed"}
    with capsys.disabled():
        print(
            f"\npower cut, {volume.kind}, {'log kept' if flush_log else 'log lost'}: {CUTS} cuts;"
            f" {len(ledger.kept)} messages answered or written, all arrived; {len(doubled)} duplicates, none older than"
            f" {NOT_YET_DURABLE} s at a cut"
        )


# XFS leaves its log for half a minute by itself, so that nothing becomes durable by chance.
@pytest.mark.parametrize("volume", ["xfs"], indirect=True)
@pytest.mark.parametrize("command, put", [("queue-retry", put_into_queue), ("pickup-drain", put_into_pickup)])
def test_a_power_cut_in_a_long_pass_doubles_nothing_that_was_long_settled(command, put, volume, remote, world):
    mailroot = Mailroot(volume.path / "root", remote.mailroot.settings).create()
    mailroot.configure(delivery={"connectionsPerDomain": 1})
    keys = {f"late-put-{number}" for number in range(150)}
    for key in keys:
        put(mailroot, key)
    volume.sync()
    world.fickle.pause = 0.04
    with subprocess.Popen([PROGRAM, "--root", mailroot.root, command], stderr=subprocess.DEVNULL) as process:
        taken = world.fickle.times
        wait_for(lambda: taken and time.time() - taken[0] > NOT_YET_DURABLE + 1, "some to be long settled")
        cut = time.time()
        volume.cut()
        process.kill()
    volume.remount()
    world.fickle.pause = 0
    serve = mailroot.serve()
    try:
        wait_settled(mailroot)
    finally:
        serve.kill()
    assert set(world.arrived("fickle")) == keys
    assert not [moment for moment in world.doubled("fickle") if moment < cut - NOT_YET_DURABLE]
