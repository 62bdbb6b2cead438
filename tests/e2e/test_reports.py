"""Each kind of report is read by other people's programs as we mean it, and comes when it is due."""

import email
import email.policy
import socket
from email.utils import parsedate_to_datetime

import pytest

from harness.bounce_parsers import bounce_parser, flufl_bounce, sisimai
from harness.chain import DOMAIN
from harness.clock import set_clock, with_clock
from harness.mail import message, split_block
from harness.waiting import wait_for

SENDER = "app@local.example"
NO_SUCH_USER = "550 5.1.1 no such user here"
LATER = "451 4.7.1 come back later"


class Report:
    """A report in Drop, without its envelope block."""

    def __init__(self, path, workspace):
        self.block, self.octets = split_block(path.read_bytes())
        self.file = workspace / f"{path.stem}.report"
        self.file.write_bytes(self.octets.replace(b"\r\n", b"\n"))  # as mail lies on Unix
        self.message = email.message_from_bytes(self.octets, policy=email.policy.default)
        self.text, self.status, self.returned = self.message.iter_parts()

    def fields(self):
        """Of each recipient."""
        return self.status.get_payload()[1:]

    def is_read_as(self, failed=(), delayed=(), succeeded=()):
        """By each parser, as far as it knows such things. Of (recipient, status, action)."""
        everybody = [*failed, *delayed, *succeeded]
        assert flufl_bounce(self.octets) == ({r for r, *_ in delayed}, {r for r, *_ in failed})
        by_sisimai = sisimai(self.file)
        assert {r: (b["deliverystatus"], b["action"]) for r, b in by_sisimai.items()} == {
            r: (status, action) for r, status, action in everybody
        }
        # It knows failures alone, and takes what is not only that for no bounce.
        is_bounce, by_bounce_parser = bounce_parser(self.file)
        assert is_bounce == (not delayed and not succeeded)
        assert {r: (b["status"], b["action"]) for r, b in by_bounce_parser.items()} == {
            r: (status, action) for r, status, action in failed
        }
        return by_sisimai, by_bounce_parser


@pytest.fixture
def reports(remote, workspace):
    """reports(count): so many that have come to Drop, the first to come first."""

    def wait(count=1):
        return [Report(path, workspace) for path in remote.mailroot.wait_files("Drop", count)]

    return wait


def submit(mailroot, *recipients, content=None, **options):
    with mailroot.serving[-1].smtp() as client:
        client.sendmail(SENDER, recipients, content or message(), **options)


def failed(recipient, status):
    return (recipient, status, "failed")


def test_recipients_that_are_refused(remote, scripted, reports):
    full = "552 5.2.2 mailbox full"
    scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER, "full@example.net": full})
    remote.mailroot.serve()
    submit(remote.mailroot, "bad@example.net", "full@example.net", "good@example.net")
    (report,) = reports()
    remote.mailroot.wait_idle()
    by_sisimai, by_bounce_parser = report.is_read_as(
        failed=[failed("bad@example.net", "5.1.1"), failed("full@example.net", "5.2.2")]
    )
    assert by_sisimai["bad@example.net"]["reason"] == "userunknown"
    assert by_sisimai["full@example.net"]["reason"] == "mailboxfull"
    assert by_sisimai["bad@example.net"]["diagnosticcode"] == NO_SUCH_USER
    assert by_bounce_parser["bad@example.net"]["std_reason"] == "user_unknown"
    assert by_bounce_parser["full@example.net"]["smtp_code"] == "552"


def test_a_mail_loop(remote, reports):
    remote.mailroot.serve()
    circles = message(extra="Received: by loop.example; Tue, 24 Nov 2026 01:48:12 +0000\r\n" * 16)
    remote.mailroot.submit("loop.eml", circles)
    (report,) = reports()
    by_sisimai, _ = report.is_read_as(failed=[failed("someone@example.net", "5.4.6")])
    assert by_sisimai["someone@example.net"]["replycode"] == "554"
    assert "This could indicate a mail loop." in report.text.get_content()


def test_mail_that_is_late_and_then_given_up(remote, scripted, workspace, reports):
    host = scripted(remote.first, remote.port, refuse={"slow@example.net": LATER})
    clock = workspace / "clock"
    set_clock(clock, "+0")
    remote.mailroot.serve(under=with_clock(clock))
    submit(remote.mailroot, "slow@example.net")
    wait_for(lambda: host.attempts, "the first attempt")
    assert not remote.mailroot.files("Drop")

    def attempted_again():
        before = len(host.attempts)
        wait_for(lambda: len(host.attempts) > before + 1, "two more attempts")

    set_clock(clock, "+11h")
    attempted_again()
    assert not remote.mailroot.files("Drop")
    set_clock(clock, "+13h")
    (delay,) = reports()
    attempted_again()
    assert len(remote.mailroot.files("Drop")) == 1, "it is told once"
    by_sisimai, _ = delay.is_read_as(delayed=[("slow@example.net", "4.7.1", "delayed")])
    assert by_sisimai["slow@example.net"]["diagnosticcode"] == LATER
    assert delay.message["Subject"] == "Delivery Status Notification (Delay)"
    assert "THIS IS A WARNING MESSAGE ONLY." in delay.text.get_content()
    (fields,) = delay.fields()
    arrival = parsedate_to_datetime(delay.status.get_payload()[0]["Arrival-Date"])
    assert (parsedate_to_datetime(fields["Will-Retry-Until"]) - arrival).days == 2
    assert delay.returned.get_content_type() == "text/rfc822-headers"

    set_clock(clock, "+49h")
    _, expired = reports(2)
    remote.mailroot.wait_idle()
    by_sisimai, _ = expired.is_read_as(failed=[failed("slow@example.net", "4.4.7")])
    assert by_sisimai["slow@example.net"]["reason"] == "expired"
    assert "due to being unable to connect successfully" in expired.text.get_content()
    assert expired.returned.get_content_type() == "message/rfc822"


def test_one_report_of_a_failure_and_a_delay(remote, scripted, reports):
    remote.mailroot.configure(delivery={"delayNotice": "1ms"})
    scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER, "slow@example.net": LATER})
    remote.mailroot.serve()
    submit(remote.mailroot, "bad@example.net", "slow@example.net")
    (report,) = reports()
    report.is_read_as(
        failed=[failed("bad@example.net", "5.1.1")],
        delayed=[("slow@example.net", "4.7.1", "delayed")],
    )
    assert report.message["Subject"] == "Delivery Status Notification (Failure)"


def test_a_success_that_was_asked_for(remote, scripted, workspace):
    scripted(remote.first, remote.port)
    remote.mailroot.serve()
    submit(remote.mailroot, "ann@example.net", "bob@local.example", rcpt_options=["NOTIFY=SUCCESS"])
    remote.mailroot.wait_idle()
    dropped = remote.mailroot.wait_files("Drop", 2)
    (report,) = [Report(path, workspace) for path in dropped if "multipart/report" in path.read_text()]
    report.is_read_as(
        succeeded=[("ann@example.net", "2.0.0", "relayed"), ("bob@local.example", "2.0.0", "delivered")]
    )
    assert report.message["Subject"] == "Delivery Status Notification (Relay)"
    relayed, delivered = report.fields()
    assert relayed["Remote-MTA"] == "dns;mx1.example.net"
    assert "Diagnostic-Code" not in delivered


def test_a_success_is_reported_though_the_service_was_killed_before(remote, scripted, reports):
    host = scripted(remote.first, remote.port)
    with socket.create_server((remote.second, remote.port)):
        # Who says nothing keeps the attempt from its end, and the report from being written.
        serve = remote.mailroot.serve()
        submit(remote.mailroot, "ann@example.net", f"bob@{DOMAIN}", rcpt_options=["NOTIFY=SUCCESS"])
        marked = b"x-received: <ann@example.net>"
        wait_for(
            lambda: any(marked in path.read_bytes() for path in remote.mailroot.files("Queue", "*.eml")),
            "the mark of who has the message",
        )
        serve.kill()
    assert not remote.mailroot.files("Drop")
    remote.mailroot.serve()
    (report,) = reports()
    report.is_read_as(succeeded=[("ann@example.net", "2.0.0", "relayed")])
    assert host.recipients() == ["ann@example.net"]


def test_a_recipient_beyond_ascii_is_reported_in_ascii(remote, scripted, reports):
    scripted(remote.first, remote.port, refuse={"jörg@example.net": NO_SUCH_USER})
    remote.mailroot.serve()
    sent = message("grüße")
    options = {"mail_options": ["SMTPUTF8", "BODY=8BITMIME"], "rcpt_options": ["ORCPT=utf-8;käthe@example.org"]}
    submit(remote.mailroot, "jörg@example.net", content=sent, **options)
    (report,) = reports()
    assert report.octets.isascii(), "it can go to any host"
    (fields,) = report.fields()
    assert fields["Original-Recipient"] == r"utf-8;k\x{E4}the@example.org"
    assert fields["Final-Recipient"] == r"utf-8;j\x{F6}rg@example.net"
    assert "jörg@example.net" in report.text.get_content()
    assert report.returned.get_content_type() == "message/global"
    assert report.returned["Content-Transfer-Encoding"] == "base64"
    # The only one of the three that takes such an address for one, and prefers the original.
    _, by_bounce_parser = bounce_parser(report.file)
    assert by_bounce_parser[r"k\x{E4}the@example.org"]["status"] == "5.1.1"


def test_a_sender_beyond_ascii_has_a_report_in_utf_8(remote, scripted, reports):
    scripted(remote.first, remote.port, refuse={"jörg@example.net": NO_SUCH_USER})
    remote.mailroot.serve()
    sent = message("grüße")
    with remote.mailroot.serving[-1].smtp() as client:
        options = ["SMTPUTF8", "BODY=8BITMIME"]
        client.sendmail("käthe@local.example", ["jörg@example.net"], sent, mail_options=options)
    (report,) = reports()
    assert report.block == ["x-sender: <>", "x-receiver: käthe@local.example"]
    assert report.status.get_content_type() == "message/global-delivery-status"
    assert "Final-Recipient: utf-8;jörg@example.net\r\n".encode() in report.octets
    assert report.returned.get_content_type() == "message/global"
    assert sent in report.octets, "the message is returned as it was"


def test_a_copy_for_the_administrator_and_an_end_to_reports(remote, scripted, reports):
    remote.mailroot.configure(ndr={"copyTo": "helpdesk@local.example", "rate": "1/h"})
    scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER})
    remote.mailroot.serve()
    submit(remote.mailroot, "bad@example.net")
    (report,) = reports()
    assert report.block == ["x-sender: <>", f"x-receiver: {SENDER}", "x-receiver: helpdesk@local.example"]
    assert report.message["Reply-To"] == "helpdesk@local.example"
    report.is_read_as(failed=[failed("bad@example.net", "5.1.1")])

    submit(remote.mailroot, "bad@example.net")
    remote.mailroot.wait_files("Badmail", pattern="*.bad")
    remote.mailroot.wait_idle()
    assert len(remote.mailroot.files("Drop")) == 1
    (bad,) = remote.mailroot.report("badmail-report")["messages"]
    assert (bad["reason"], bad["sender"]) == ("tooManyReports", SENDER)
