"""Mail goes to the smart host, whatever DNS says of its domain."""

from harness.mail import envelope_block, message
from harness.waiting import wait_for


def submit(mailroot, recipient):
    mailroot.submit(recipient, envelope_block("app@local.example", recipient) + message())


def test_a_smart_host_for_all_and_another_for_one(remote, scripted):
    remote.mailroot.configure(
        delivery={"smartHost": f"mx2.example.net:{remote.port}"},
        domains={"remote": {"example.net": {"smartHost": ""}, "*.one.example": {"smartHost": f"[{remote.first}]"}}},
    )
    first, second = scripted(remote.first, remote.port), scripted(remote.second, remote.port)
    serve = remote.mailroot.serve()
    for recipient in ("a@no-such-domain.example", "b@example.net", "c@sub.one.example", "d@local.example"):
        submit(remote.mailroot, recipient)
    remote.mailroot.wait_idle()
    assert second.recipients() == ["a@no-such-domain.example"]
    assert sorted(first.recipients()) == ["b@example.net", "c@sub.one.example"]
    assert len(remote.mailroot.files("Drop")) == 1
    assert serve.stop() == 0


def test_mail_waits_for_a_smart_host_that_is_not_there(remote, scripted):
    remote.mailroot.configure(delivery={"smartHost": "no-such-host.example.net", "retry": ["1h"]})
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "a@example.net")
    wait_for(
        lambda: any("deferred a@example.net: 451 4.4.4 smart host no-such-host" in line for line in serve.said),
        "the reason to be said",
    )
    assert not remote.mailroot.files("Badmail") and serve.stop() == 0
