"""Messages: making them, and comparing what arrived with what was sent."""

import re

# A field and its folded lines, at the start of a line.
FIELD = rb"(?im)^%s:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*"


def message(subject="a subject", body="Hello.\r\n", sender="app@local.example", to="someone@example.net", extra=""):
    """Complete, so that nothing has to be added but trace fields."""
    return (
        f"From: {sender}\r\nTo: {to}\r\n{extra}Subject: {subject}\r\n"
        "Date: Tue, 24 Nov 2026 01:48:12 +0000\r\nMessage-ID: <1@app.example>\r\n"
        f"\r\n{body}"
    ).encode()


def envelope_block(sender, *recipients):
    return "".join([f"x-sender: {sender}\r\n", *(f"x-receiver: {r}\r\n" for r in recipients)]).encode()


def split_block(octets):
    """A Drop or Badmail file: its envelope lines, and the message behind them."""
    lines = []
    while re.match(rb"(?i)x-(sender|receiver|received):", octets):
        line, _, octets = octets.partition(b"\n")
        lines.append(line.rstrip(b"\r").decode())
    return lines, octets


def without_field(octets, name):
    """`octets` without the first field of that name in the header; fails when there is none."""
    header, blank, body = octets.partition(b"\r\n\r\n")
    stripped, count = re.subn(FIELD % name.encode(), b"", header + b"\r\n", count=1)
    assert count == 1, f"no {name} field"
    return stripped[:-2] + blank + body if stripped else blank[2:] + body


def first_field(octets):
    return octets.split(b":", 1)[0].decode()


def without_trace(octets):
    """Without the Received field that stands first, the one this service adds."""
    assert first_field(octets) == "Received", octets[:80]
    return without_field(octets, "Received")


def field_names(octets):
    header = octets.partition(b"\r\n\r\n")[0]
    return [name.decode().lower() for name in re.findall(rb"(?m)^([!-9;-~]+):", header)]
