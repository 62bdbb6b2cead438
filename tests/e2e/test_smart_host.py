"""Mail goes to the smart host, whatever DNS says of its domain."""

import pytest

from harness.accounts import PASSWORD, Certificate, sha512, write_users
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


@pytest.fixture
def relay(remote, new_mailroot, workspace):
    """Another mailroot, which relays for joe alone, and ours, which uses it."""
    certificate = Certificate(workspace / "tls", name="mx1.example.net")
    relay = new_mailroot(
        hostname="mx1.example.net", domains={"default": "example.net"}, relay={"networks": []},
        tls=certificate.settings, auth={"users": str(write_users(workspace, joe=sha512())), "failureDelay": "0s"},
    )  # fmt: skip
    (workspace / "password").write_text(PASSWORD + "\n")
    remote.mailroot.configure(
        delivery={
            "smartHost": f"mx1.example.net:{remote.port}", "retry": ["1h"],
            "smartHostLogin": {"user": "joe", "passwordFile": str(workspace / "password")},
        },
    )  # fmt: skip
    relay.entry = f"{remote.first}:{remote.port}"
    return relay


def test_a_login(relay, remote):
    relay.serve("--listen", relay.entry)
    remote.mailroot.serve()
    submit(remote.mailroot, "a@elsewhere.example")
    (path,) = relay.wait_files("Queue")
    assert b" with ESMTPSA" in path.read_bytes()


def test_a_login_that_is_refused_defers(relay, remote, workspace):
    (workspace / "password").write_text("wrong\n")
    relay.serve("--listen", relay.entry)
    serve = remote.mailroot.serve("-v")
    submit(remote.mailroot, "a@elsewhere.example")
    wait_for(
        lambda: any("deferred a@elsewhere" in line and "login refused: 535 5.7.8" in line for line in serve.said),
        "the reason to be said",
    )
    assert not any("wrong" in line for line in serve.said)


@pytest.mark.parametrize("policy", ["may", "none"])
def test_no_password_is_said_in_the_clear_unless_that_is_asked_for(relay, remote, policy):
    relay.configure(tls={"certificate": "", "key": ""}, auth={"requireTls": False})
    remote.mailroot.configure(delivery={"tls": policy})
    relay.serve("--listen", relay.entry)
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "a@elsewhere.example")
    if policy == "none":
        (path,) = relay.wait_files("Queue")
        assert b" with ESMTPA" in path.read_bytes()
    else:
        wait_for(lambda: any("the host does not offer TLS" in line for line in serve.said), "the reason to be said")


def test_a_host_without_a_login_is_not_used(relay, remote):
    relay.configure(auth={"users": ""}, relay={"networks": ["127.0.0.0/8"]})
    relay.serve("--listen", relay.entry)
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "a@elsewhere.example")
    wait_for(lambda: any("the host offers no way to log in" in line for line in serve.said), "the reason to be said")
    assert not relay.files("Queue")
