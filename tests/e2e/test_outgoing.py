"""How mail leaves: in how large transactions, under whose name."""

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
