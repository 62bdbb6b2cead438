"""Refused mail goes back to its sender as an RFC 3464 report, or to Badmail when nobody can be told."""

import email
import email.policy
import json

from harness.mail import envelope_block, message, split_block

NO_SUCH_USER = "550 5.1.1 no such user here"


def parsed_report(path):
    """Its envelope lines, the text for people, the recipients' fields, the returned message."""
    block, octets = split_block(path.read_bytes())
    report = email.message_from_bytes(octets, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, returned = report.iter_parts()
    assert status.get_content_type() == "message/delivery-status"
    return block, report, text.get_content(), status.get_payload(), returned


def test_one_recipient_is_refused_and_the_other_has_it(remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER})
    serve = remote.mailroot.serve()
    sent = message("the subject", sender="app@local.example")
    with serve.smtp() as client:
        client.sendmail("app@local.example", ["bad@example.net", "good@example.net"], sent)
    (path,) = remote.mailroot.wait_files("Drop")
    remote.mailroot.wait_idle()
    assert host.recipients() == ["good@example.net"]

    block, report, text, (about, recipient), returned = parsed_report(path)
    assert block == ["x-sender: <>", "x-receiver: app@local.example"]
    assert report["Subject"] == "Delivery Status Notification (Failure)"
    assert report["From"] == "postmaster@local.example" and report["To"] == "app@local.example"
    assert report["Auto-Submitted"] in (None, "auto-replied", "auto-generated")
    assert "Delivery to the following recipients failed." in text and "bad@example.net" in text
    assert "good@example.net" not in text
    assert about["Reporting-MTA"].replace(" ", "") == "dns;mail.local.example" and about["Arrival-Date"]
    assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;bad@example.net"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Diagnostic-Code"].replace("; ", ";").startswith("smtp;550")
    assert "no such user here" in recipient["Diagnostic-Code"]
    assert returned.get_content_type() == "message/rfc822"
    assert returned.get_payload(0)["Subject"] == "the subject"
    assert sent in path.read_bytes(), "the message is returned as it was"


def test_two_refused_recipients_share_one_report(remote, scripted):
    scripted(remote.first, remote.port, refuse={f"{n}@example.net": NO_SUCH_USER for n in ("a", "b")})
    serve = remote.mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("app@local.example", ["a@example.net", "b@example.net"], message())
    (path,) = remote.mailroot.wait_files("Drop")
    remote.mailroot.wait_idle()
    assert len(remote.mailroot.files("Drop")) == 1
    recipients = parsed_report(path)[3][1:]
    assert [r["Final-Recipient"].replace(" ", "") for r in recipients] == ["rfc822;a@example.net", "rfc822;b@example.net"]


def test_a_message_refused_after_its_data_is_reported_for_all(remote, scripted):
    scripted(remote.first, remote.port, on_data="554 5.7.1 we do not like it")
    remote.mailroot.serve()
    block = envelope_block("app@local.example", "a@example.net", "b@example.net")
    remote.mailroot.submit("x.eml", block + message())
    (path,) = remote.mailroot.wait_files("Drop")
    remote.mailroot.wait_idle()
    _, _, _, (_, *recipients), _ = parsed_report(path)
    assert [r["Status"] for r in recipients] == ["5.7.1", "5.7.1"]


def test_a_report_goes_to_a_remote_sender_through_the_same_loop(remote, scripted):
    host = scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER})
    serve = remote.mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("app@example.org", ["bad@example.net"], message())
    remote.mailroot.wait_idle()
    (taken,) = host.taken
    assert taken.recipients == ["app@example.org"] and taken.sender in ("", "<>", None)
    assert not remote.mailroot.files("Drop") and not remote.mailroot.files("Badmail")


def the_badmail(mailroot):
    (bad,) = mailroot.wait_files("Badmail", pattern="*.bad")
    mailroot.wait_idle()
    assert json.loads(bad.with_suffix(".bdp").read_text())
    (entry,) = mailroot.report("badmail-report")["messages"]
    assert entry["id"] == bad.stem and entry["reason"]
    return bad


def test_mail_without_a_sender_that_is_refused_lies_in_badmail(remote, scripted):
    scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER})
    serve = remote.mailroot.serve()
    sent = message()
    with serve.smtp() as client:
        client.sendmail("<>", ["bad@example.net", "good@example.net"], sent)
    bad = the_badmail(remote.mailroot)
    block, rest = split_block(bad.read_bytes())
    assert [line.split(" ")[:2] for line in block] == [["x-sender:", "<>"], ["x-receiver:", "<bad@example.net>"]]
    assert rest.endswith(sent), "the message as it was, and only the recipient that failed"
    assert "no such user here" in bad.with_suffix(".bdr").read_text()


def test_a_report_that_is_refused_itself_lies_in_badmail(remote, scripted):
    scripted(remote.first, remote.port, refuse={a: NO_SUCH_USER for a in ("bad@example.net", "app@example.org")})
    serve = remote.mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("app@example.org", ["bad@example.net"], message())
    bad = the_badmail(remote.mailroot)
    assert b"Delivery Status Notification (Failure)" in bad.read_bytes()


def test_badmail_sent_again_by_hand_reaches_the_recipient_that_had_failed(remote, scripted):
    """mv Badmail/X.bad Pickup/: the real envelope, though no header names it."""
    host = scripted(remote.first, remote.port, refuse={"bad@example.net": NO_SUCH_USER})
    serve = remote.mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("<>", ["bad@example.net", "good@example.net"], message())
    bad = the_badmail(remote.mailroot)
    host.refuse.clear()
    bad.rename(remote.mailroot.folder("Pickup") / "again.eml")
    remote.mailroot.wait_idle()
    assert host.recipients() == ["good@example.net", "bad@example.net"]
