"""How mail leaves: in how large transactions."""

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
