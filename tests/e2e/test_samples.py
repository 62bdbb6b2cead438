"""What .NET and Mono really write into Pickup reaches whom its writer meant, once."""

import pathlib

import pytest

from harness.mail import field_names, without_field, without_trace

SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "samples"

# File -> envelope. The writers' own rules are in pickup(7).
ENVELOPES = {
    "pickup-dotnet/01-plain-dots.eml": ("sender@example.com", ["rcpt1@example.net"]),
    "pickup-dotnet/03-alt-attachments.eml": ("sender@example.com", ["rcpt1@example.net"]),
    "pickup-dotnet/05-bcc-only.eml": ("sender@example.com", ["only-bcc@example.net"]),
    "pickup-dotnet/06-120-recipients.eml": (
        "sender@example.com",
        [f"r{n}@example{n % 3}.net" for n in range(120)],
    ),
    "pickup-dotnet/08-user-x-sender.eml": (
        "override@example.com",
        ["rcpt1@example.net", "ignored@example.net"],
    ),
    "pickup-mono/4685f051-b5d1-4d35-957b-5538912744f7.eml": ("sender@example.com", ["rcpt1@example.net"]),
    "pickup-mono/5c928eea-c3bd-4404-871d-6507f2850cce.eml": ("sender@example.com", ["rcpt1@example.net"]),
}


def test_no_sample_is_forgotten():
    assert {str(p.relative_to(SAMPLES)) for p in SAMPLES.glob("pickup-*/*.eml")} == set(ENVELOPES)


def behind_block(octets):
    while octets.lower().startswith((b"x-sender:", b"x-receiver:")):
        octets = octets.partition(b"\n")[2]
    return octets


def unstuffed(octets):
    """Where every line that begins with a dot begins with two, the writer stuffed (`auto`)."""
    dotted = [line for line in octets.split(b"\r\n") if line.startswith(b".")]
    if dotted and all(line.startswith(b"..") for line in dotted):
        return octets.replace(b"\r\n..", b"\r\n.")
    return octets


@pytest.mark.parametrize("name", ENVELOPES)
def test_sample(name, remote, scripted):
    host = scripted(remote.first, remote.port)
    remote.mailroot.serve()
    written = (SAMPLES / name).read_bytes()
    remote.mailroot.submit(pathlib.Path(name).name, written)
    remote.mailroot.wait_idle()
    sender, recipients = ENVELOPES[name]
    assert {taken.sender for taken in host.taken} == {sender}
    assert sorted(host.recipients()) == sorted(recipients)
    for taken in host.taken:
        names = field_names(taken.content)
        assert not [n for n in names if n in ("bcc", "x-sender", "x-receiver", "x-received")]
        content = without_trace(taken.content)
        if "message-id" not in field_names(written):
            content = without_field(content, "Message-ID")
        assert content == unstuffed(behind_block(written.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))
    assert not remote.mailroot.files("Badmail") and not remote.mailroot.files("Drop")
