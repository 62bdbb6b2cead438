"""To the reader's eyes: through a real Postfix into maildirs that a real Dovecot serves."""

import pytest

from harness.mail import envelope_block, first_field, message, without_field, without_trace
from harness.waiting import wait_for


def as_handed_to_postfix(octets):
    """Without what Postfix's virtual(8) and smtpd put in front."""
    for name in ("Return-Path", "X-Original-To", "Delivered-To", "Received"):
        assert first_field(octets) == name, octets[:300]
        octets = without_field(octets, name)
    return octets


SENT = message(
    body="First line.\r\n.\r\n..two dots\r\nFrom here on\r\n\r\n" + "z" * 900 + "\r\n" + "line\r\n" * 500,
    extra="X-Folded: one\r\n\ttwo\r\n",
)


@pytest.mark.parametrize("way", ["smtp", "pickup"])
def test_read_by_pop3_and_by_imap_as_it_was_sent(way, remote, chain):
    serve = remote.mailroot.serve()
    if way == "smtp":
        with serve.smtp() as client:
            client.sendmail("app@local.example", ["ann@chain.example"], SENT)
    else:
        remote.mailroot.submit("x.eml", envelope_block("app@local.example", "ann@chain.example") + SENT)
    remote.mailroot.wait_idle()
    wait_for(chain.arrived, "Postfix to deliver")
    for read in (chain.read_by_pop3, chain.read_by_imap):
        assert without_trace(as_handed_to_postfix(read(1))) == SENT
    assert serve.stop() == 0
