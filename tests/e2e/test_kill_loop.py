"""serve and queue-retry are killed again and again, at random moments and under load: nothing is lost, and nothing is
doubled but what was under way at a kill."""

import random
import subprocess
import time

import pytest

from harness.length import length
from harness.load import Again, Clients, Ledger, World, Writers, draw_seed, shown, unexplained, wait_settled
from harness.mailroot import PROGRAM

KILLS = length(8, 200)
CONNECTIONS = 4
PATIENCE = length(60, 300)


@pytest.fixture
def world(remote, sink):
    made = World(remote, sink)
    yield made
    made.close()


class Killer:
    """Lets serve work for a random time, kills it, and sometimes queue-retry with it. When each process ended is in
    `ends`."""

    def __init__(self, mailroot, ledger, retry, chance):
        self.mailroot, self.ledger, self.retry, self.chance = mailroot, ledger, retry, chance
        self.ends = []

    def kill_once(self):
        if self.chance.random() < 0.15:
            self._kill_at_start()
        else:
            self._kill_at_work()

    def _kill_at_start(self):
        """While it still reads the folders and takes up what the last kill left."""
        with subprocess.Popen(
            [PROGRAM, "--root", self.mailroot.root, "serve", "--listen", "127.0.0.1:0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            time.sleep(self.chance.uniform(0, 0.2))
            ended = process.poll()
            process.kill()
        assert ended is None, f"serve ended with {ended}"
        self.ends.append(time.time())

    def _kill_at_work(self):
        serve = self.mailroot.serve()
        clients = Clients(serve, self.ledger, self.chance.random())
        time.sleep(self.chance.uniform(0, 1.5))
        if self.chance.random() < 0.3:
            self.retry.kill()
            self.ends.append(time.time())
        assert serve.running()
        serve.kill()
        self.ends.append(time.time())
        clients.join()


def test_a_kill_at_any_moment_loses_nothing_and_doubles_only_what_was_under_way(remote, world, capsys):
    seed = draw_seed("kill loop")
    chance = random.Random(seed)
    mailroot = remote.mailroot.create()
    mailroot.configure(delivery={"connectionsPerDomain": CONNECTIONS})
    ledger = Ledger()
    retry = Again(mailroot, "queue-retry", "--all")
    writers = Writers(mailroot, ledger, seed)
    killer = Killer(mailroot, ledger, retry, chance)
    try:
        for _ in range(KILLS):
            world.fickle.set_willing(chance.random() < 0.5)
            killer.kill_once()
    finally:
        mailroot.close()
        writers.join()
        retry.join()
    assert not writers.errors
    world.fickle.set_willing(True)
    serve = mailroot.serve()
    wait_settled(mailroot, PATIENCE)
    assert serve.stop() == 0
    # Done, something went to Badmail, something was deferred; or it was killed.
    assert not {code: said for code, said in retry.said.items() if code not in (0, 65, 75, -9)}

    for place in ("Drop", "Badmail"):
        found = shown(mailroot, place)
        assert not ledger.lost_at(place, found), f"lost on the way to {place}"
        assert set(found.values()) == {1}, f"doubled in {place}: {found.most_common(9)}"

    doubled, allowed = 0, 0
    for place in ("steady", "fickle"):
        assert not ledger.lost_at(place, world.arrived(place)), f"lost on the way to {place}"
        early = world.doubled(place)
        doubled, allowed = doubled + len(early), allowed + len(killer.ends) * CONNECTIONS
        assert not unexplained(early, killer.ends, CONNECTIONS), f"doubled at {place} without a kill"
    assert set(ledger.count_by(0)) == set(ledger.kinds)
    assert set(ledger.count_by(1)) == {"smtp", "slowly", "at_once", "renamed"}
    with capsys.disabled():
        print(
            f"\nkill loop: {KILLS} kills of serve, {len(killer.ends) - KILLS} of queue-retry;"
            f" {len(ledger.kept)} messages answered or written, all arrived; {doubled} duplicates, {allowed} allowed"
        )
