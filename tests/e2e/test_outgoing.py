"""How mail leaves: in how large transactions, under whose name, from which address, by which proxy."""

import ssl
import time

import pytest

from harness.accounts import Certificate
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


# --- Rate


def test_messages_for_a_domain_with_a_rate_go_evenly(remote, scripted):
    remote.mailroot.configure(domains={"remote": {"example.net": {"rate": "2/s"}}})
    host = scripted(remote.first, remote.port)
    serve = remote.mailroot.serve()
    began = time.monotonic()
    for number in range(6):
        remote.mailroot.submit(f"{number}.eml", envelope_block(SENDER, "r@example.net") + message())
    remote.mailroot.wait_idle()
    assert len(host.taken) == 6 and time.monotonic() - began >= 2.5
    assert serve.stop() == 0


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


# --- Proxy


@pytest.fixture
def proxied(remote, socks, loopback):
    """A mailroot behind a proxy."""

    def start(**options):
        proxy = socks(loopback.host(78), loopback.free_port(), **options)
        remote.mailroot.configure(delivery={"proxy": proxy.url})
        return proxy

    return start


def test_a_proxy_connects_to_the_mail_hosts(proxied, remote, scripted):
    proxy = proxied()
    second = scripted(remote.second, remote.port)
    remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    remote.mailroot.wait_idle()
    assert second.recipients() == ["ann@example.net"]
    assert proxy.asked == [(remote.first, remote.port), (remote.second, remote.port)]


@pytest.mark.parametrize("name", ["mx1.example.net", "other.example.net"])
def test_certificates_are_verified_through_a_proxy(name, proxied, remote, scripted, workspace):
    certificate = Certificate(workspace / "tls", name=name)
    remote.mailroot.configure(
        delivery={"tls": "verify", "retry": ["1h"]}, tls={"authorities": str(certificate.certificate)}
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    proxy = proxied()
    host = scripted(remote.first, remote.port, tls=context)
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    if name == "mx1.example.net":
        remote.mailroot.wait_idle()
        assert host.taken[0].encrypted
    else:
        deferred(serve, "no alternative certificate subject name matches target host name 'mx1.example.net'")
        assert not host.taken
    assert proxy.asked[0] == (remote.first, remote.port)


def test_a_login_at_the_proxy(proxied, remote, scripted, workspace):
    proxy = proxied(login=("joe", "s3cret"))
    password = workspace / "password"
    password.write_text("s3cret\n")
    remote.mailroot.configure(delivery={"proxyUser": "joe", "proxyPasswordFile": str(password)})
    host = scripted(remote.first, remote.port)
    serve = remote.mailroot.serve("-v")
    submit(remote.mailroot, "ann@example.net")
    remote.mailroot.wait_idle()
    assert host.recipients() == ["ann@example.net"] and proxy.logins == [("joe", "s3cret")]
    assert "s3cret" not in remote.mailroot.run("config-check").stdout + "".join(serve.said)


def test_a_login_that_the_proxy_refuses(proxied, remote, workspace):
    proxy = proxied(login=("joe", "s3cret"))
    password = workspace / "password"
    password.write_text("wr0ng\n")
    remote.mailroot.configure(
        delivery={"proxyUser": "joe", "proxyPasswordFile": str(password), "retry": ["1h"]}
    )
    serve = remote.mailroot.serve("-v")
    submit(remote.mailroot, "ann@example.net")
    deferred(serve, "proxy: login refused")
    assert not proxy.asked and not any("wr0ng" in line for line in serve.said)


def test_a_proxy_that_is_not_there(remote, loopback, scripted):
    host = scripted(remote.first, remote.port)
    remote.mailroot.configure(delivery={"proxy": f"socks5://{loopback.host(79)}:{remote.port}", "retry": ["1h"]})
    serve = remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net")
    deferred(serve, "proxy: connection refused")
    assert not host.attempts


def test_a_password_in_the_address_of_a_proxy_is_refused_and_not_repeated(mailroot):
    mailroot.configure(delivery={"proxy": "socks5://joe:s3cret@proxy.example.com:1080"})
    done = mailroot.run("config-check")
    assert done.returncode == 78 and "delivery.proxy: expected a proxy" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


# --- The smart host last


@pytest.fixture
def direct(remote, scripted, loopback):
    """A smart host behind the mail hosts; `refuse` is what it is to refuse."""
    port = loopback.free_port()
    remote.mailroot.configure(delivery={"smartHost": f"[{loopback.host(13)}]:{port}", "directFirst": True})
    remote.smart_host = scripted(loopback.host(13), port)
    return remote


def test_the_mail_host_is_tried_before_the_smart_host(direct, scripted):
    host = scripted(direct.second, direct.port)
    direct.mailroot.serve()
    submit(direct.mailroot, "ann@example.net")
    direct.mailroot.wait_idle()
    assert host.recipients() == ["ann@example.net"] and not direct.smart_host.attempts


@pytest.mark.parametrize("recipient", ["ann@example.net", "ann@no-such-domain.example"])
def test_the_smart_host_takes_what_has_no_mail_host_or_none_that_is_there(recipient, direct):
    direct.mailroot.serve()
    submit(direct.mailroot, recipient)
    direct.mailroot.wait_idle()
    assert direct.smart_host.recipients() == [recipient]


def test_the_smart_host_takes_what_dns_fails_on(direct):
    direct.mailroot.configure(dns={"servers": ["127.0.0.1:1"], "timeout": "100ms"})
    direct.mailroot.serve()
    submit(direct.mailroot, "ann@example.net")
    direct.mailroot.wait_idle()
    assert direct.smart_host.recipients() == ["ann@example.net"]


@pytest.mark.parametrize(
    "recipient, status", [("ann@no-mail.example", "5.1.10"), ("no@example.net", "5.1.1")], ids=["null MX", "refused"]
)
def test_what_is_refused_for_good_does_not_go_to_the_smart_host(recipient, status, direct, scripted):
    scripted(direct.first, direct.port, refuse={"no@example.net": "550 5.1.1 unknown"})
    direct.mailroot.serve()
    submit(direct.mailroot, recipient)
    (report,) = direct.mailroot.wait_files("Drop")
    assert f"Status: {status}\n" in report.read_text()
    assert not direct.smart_host.attempts


def test_with_none_of_them_mail_waits(direct):
    direct.mailroot.configure(delivery={"retry": ["1h"]})
    direct.smart_host.leave()
    serve = direct.mailroot.serve()
    submit(direct.mailroot, "ann@example.net")
    deferred(serve, "connection refused")
    assert not direct.mailroot.files("Badmail")
