"""Who goes next: no host that is slow, dead or busy keeps mail for another one waiting."""

import socket
import threading

import pytest

from harness.mail import envelope_block, message
from harness.waiting import wait_for


class Rude:
    """A listener that hangs up on everybody, or says nothing at all, and counts who came."""

    def __init__(self, address, port, hang_up):
        self.came, self.hang_up, self.held = 0, hang_up, []
        self.listener = socket.create_server((address, port), backlog=2000)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.came += 1
            if self.hang_up:
                client.close()
            else:
                self.held.append(client)

    def leave(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for client in self.held:
            client.close()


@pytest.fixture
def rude():
    listeners = []

    def start(address, port, hang_up):
        listeners.append(Rude(address, port, hang_up))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.leave()


@pytest.fixture
def world(remote):
    """example.net and its kin are at the first host, chain.example is at the second."""
    remote.mailroot.configure(delivery={"retry": ["1h"]})
    return remote


def submit(mailroot, recipient, count=1):
    for number in range(count):
        mailroot.submit(f"{recipient}-{number}", envelope_block("app@local.example", recipient) + message())


def all_deferred(mailroot, count):
    return len(mailroot.files("Queue", "*.json")) == count


def test_a_dead_destination_costs_one_connection(world, rude):
    listener = rude(world.first, world.port, hang_up=True)
    serve = world.mailroot.serve()
    submit(world.mailroot, "a@example.org", 40)
    wait_for(lambda: all_deferred(world.mailroot, 40), "all to be deferred")
    submit(world.mailroot, "b@example.com", 10)
    wait_for(lambda: all_deferred(world.mailroot, 50), "the later ones, too")
    assert listener.came == 1
    assert serve.stop() == 0


def test_touch_tries_a_dead_destination(world, rude, scripted):
    listener = rude(world.first, world.port, hang_up=True)
    serve = world.mailroot.serve()
    submit(world.mailroot, "a@example.org", 3)
    wait_for(lambda: all_deferred(world.mailroot, 3), "all to be deferred")
    listener.leave()
    listener.leave = lambda: None
    host = scripted(world.first, world.port)
    world.mailroot.files("Queue")[0].touch()
    wait_for(lambda: len(host.taken) == 1, "the touched message")
    assert serve.stop() == 0


def test_a_host_that_never_greets_keeps_nobody_waiting(world, rude, scripted):
    """More messages than may be in hand at once, for a host that holds each connection."""
    rude(world.first, world.port, hang_up=False)
    other = scripted(world.second, world.port)
    serve = world.mailroot.serve()
    submit(world.mailroot, "a@example.org", 1100)
    wait_for(lambda: not world.mailroot.files("Pickup"), "all to be taken")
    submit(world.mailroot, "b@chain.example")
    wait_for(lambda: other.taken, "the other's mail", seconds=5)
    serve.kill()
