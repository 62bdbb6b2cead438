"""How mail leaves: in how large transactions, under whose name, from which address."""

import pytest

from harness.mail import envelope_block, message, without_trace
from harness.waiting import wait_for

SENDER = "app@local.example"


def submit(mailroot, *recipients, sender=SENDER):
    mailroot.submit("m.eml", envelope_block(sender, *recipients) + message())


def deferred(serve, words):
    wait_for(lambda: any("deferred" in line and words in line for line in serve.said), f"a deferral that says {words}")


# --- Recipients of a transaction


@pytest.mark.parametrize("way", ["smtp", "pickup"])
def test_an_excess_of_recipients_goes_in_a_further_transaction(way, remote, scripted):
    remote.mailroot.configure(delivery={"recipientsPerMessage": 2})
    host = scripted(remote.first, remote.port)
    serve = remote.mailroot.serve()
    recipients = [f"r{n}@example.net" for n in range(5)]
    if way == "smtp":
        with serve.smtp() as client:
            client.sendmail(SENDER, recipients, message())
    else:
        submit(remote.mailroot, *recipients)
    remote.mailroot.wait_idle()
    assert sorted(host.recipients()) == recipients
    assert sorted(len(taken.recipients) for taken in host.taken) == [1, 2, 2]
    assert not remote.mailroot.files("Drop") and not remote.mailroot.files("Badmail")


# --- Masquerade


@pytest.fixture
def masked(remote):
    remote.mailroot.configure(
        delivery={"masquerade": "public.example"}, domains={"aliases": ["*.inner.example"]}
    )
    return remote


@pytest.mark.parametrize("way", ["smtp", "pickup"])
@pytest.mark.parametrize(
    "sender, shown",
    [
        (SENDER, "app@public.example"),
        ("app@x.inner.example", "app@public.example"),
        ("app@elsewhere.example", "app@elsewhere.example"),
        ("", ""),
    ],
)
def test_our_domains_are_masked_in_the_envelope_alone(way, sender, shown, masked, rude):
    host = rude(masked.first, masked.port)
    serve = masked.mailroot.serve()
    sent = message()
    if way == "smtp":
        with serve.smtp() as client:
            client.sendmail(sender, ["ann@example.net"], sent)
    else:
        masked.mailroot.submit("m.eml", envelope_block(f"<{sender}>", "ann@example.net") + sent)
    masked.mailroot.wait_idle()
    (taken,) = host.taken
    assert taken.sender == shown
    assert without_trace(taken.content) == sent


def test_reports_go_to_who_is_behind_the_mask(masked, scripted):
    host = scripted(masked.first, masked.port, refuse={"no@example.net": "550 5.1.1 unknown"})
    masked.mailroot.serve()
    submit(masked.mailroot, "no@example.net", "ann@local.example")
    ours, report = sorted(masked.mailroot.wait_files("Drop", 2), key=lambda p: b"multipart/report" in p.read_bytes())
    assert ours.read_bytes().startswith(f"x-sender: {SENDER}\r\n".encode())
    assert f"x-receiver: {SENDER}\r\n".encode() in report.read_bytes()
    assert host.attempts == ["no@example.net"]


# --- Source address


def test_connections_are_made_from_the_address_that_is_set(remote, rude, loopback):
    remote.mailroot.configure(delivery={"bindAddress": [loopback.host(77)]})
    callers = []
    host = rude(remote.first, remote.port, says={"greeting": lambda session: callers.append(session.client_address[0])})
    remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    remote.mailroot.wait_idle()
    assert len(host.taken) == 1 and callers == [loopback.host(77)]


def test_an_address_of_another_machine_is_named(remote, rude):
    remote.mailroot.configure(delivery={"bindAddress": ["192.0.2.77"], "retry": ["1h"]})
    host = rude(remote.first, remote.port)
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    deferred(serve, "cannot connect from 192.0.2.77: cannot assign requested address")
    assert host.connections == 0
