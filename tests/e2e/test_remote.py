"""Mail for the rest of the world goes to the mail hosts of its domain."""

import pytest

from harness.mail import envelope_block, field_names, message, without_trace
from harness.waiting import wait_for


def send(mailroot_serve, *recipients, content=None):
    with mailroot_serve.smtp() as client:
        client.sendmail("app@local.example", recipients, content or message())


def test_the_preferred_host_is_used(remote, scripted):
    first = scripted(remote.first, remote.port)
    second = scripted(remote.second, remote.port)
    send(remote.mailroot.serve(), "ann@example.net")
    remote.mailroot.wait_idle()
    assert first.recipients() == ["ann@example.net"] and not second.attempts


def test_a_dead_host_is_passed_over(remote, scripted):
    second = scripted(remote.second, remote.port)
    send(remote.mailroot.serve(), "ann@example.net")
    remote.mailroot.wait_idle()
    assert second.recipients() == ["ann@example.net"]


@pytest.mark.parametrize("way", ["smtp", "pickup"])
def test_octets_and_envelope_arrive_as_they_were_sent(way, remote, scripted):
    host = scripted(remote.first, remote.port)
    serve = remote.mailroot.serve()
    sent = message(body=".\r\n..\r\n.x\r\n\r\n" + "y" * 5000 + "\r\nend\r\n")
    if way == "smtp":
        send(serve, "ann@example.net", "bob@example.net", content=sent)
    else:
        block = envelope_block("app@local.example", "ann@example.net", "bob@example.net")
        remote.mailroot.submit("x", block + sent)
    remote.mailroot.wait_idle()
    (taken,) = host.taken
    assert (taken.sender, taken.recipients) == ("app@local.example", ["ann@example.net", "bob@example.net"])
    assert without_trace(taken.content) == sent


def test_local_and_remote_recipients_of_one_message_each_get_it_once(remote, scripted):
    host = scripted(remote.first, remote.port)
    serve = remote.mailroot.serve()
    content = message(to="ann@local.example", extra="Cc: bob@example.net, eve@example.org\r\nBcc: fay@local.example\r\n")
    remote.mailroot.submit("mixed.eml", content)
    remote.mailroot.wait_idle()
    (path,) = remote.mailroot.wait_files("Drop")
    assert b"x-receiver: ann@local.example\r\nx-receiver: fay@local.example\r\n" in path.read_bytes()
    assert sorted(host.recipients()) == ["bob@example.net", "eve@example.org"]
    for taken in host.taken:
        assert "bcc" not in field_names(taken.content)
    assert serve.stop() == 0


def test_a_domain_without_mx_is_its_own_host(remote, scripted):
    host = scripted(remote.first, remote.port)
    send(remote.mailroot.serve(), "ann@bare.example")
    remote.mailroot.wait_idle()
    assert host.recipients() == ["ann@bare.example"]


def test_an_address_literal_is_its_own_host(remote, scripted):
    host = scripted(remote.second, remote.port)
    recipient = f"ann@[{remote.second}]"
    send(remote.mailroot.serve(), recipient)
    remote.mailroot.wait_idle()
    assert host.recipients() == [recipient]


NO_MAIL = [
    ("ann@no-mail.example", "5.1.10"),  # null MX, RFC 7505
    ("ann@nowhere.example", "5.1.2"),  # NXDOMAIN
]


@pytest.mark.parametrize("recipient,status", NO_MAIL)
def test_a_domain_that_takes_no_mail_is_reported_at_once(recipient, status, remote, scripted):
    host = scripted(remote.first, remote.port)
    send(remote.mailroot.serve(), recipient)
    (report,) = remote.mailroot.wait_files("Drop")
    assert f"Final-Recipient: rfc822;{recipient}" in report.read_text().replace("; ", ";")
    assert f"Status: {status}" in report.read_text()
    remote.mailroot.wait_idle()
    assert not host.attempts, "the A record of a null MX domain is not tried"


def test_a_name_server_that_does_not_answer_defers(new_mailroot):
    mailroot = new_mailroot(dns={"servers": ["127.0.0.1:1"], "timeout": "200ms"})
    send(mailroot.serve(), "ann@example.net")
    mailroot.wait_files("Queue")
    wait_for(lambda: mailroot.files("Queue", "*.json"), "the attempt to be remembered")
    assert "4.4.3" in mailroot.files("Queue", "*.json")[0].read_text()
    assert not mailroot.files("Drop") and not mailroot.files("Badmail")
