"""What becomes of a pickup file's lines: dots, Bcc, line ends, the envelope in block or header."""

import pytest

from harness.mail import envelope_block, field_names, message, split_block, without_trace

BLOCK = envelope_block("app@local.example", "ann@local.example")


def drop_of(mailroot, content):
    """Sent through Pickup: the envelope lines in Drop, and the message without our Received."""
    mailroot.submit("x.eml", content)
    mailroot.serve()
    (path,) = mailroot.wait_files("Drop")
    block, rest = split_block(path.read_bytes())
    return block, without_trace(rest)


DOTS = [
    # setting, body in the file, body that arrives
    ("auto", "..two\r\n...three\r\n", ".two\r\n..three\r\n"),
    ("auto", ".one\r\n..two\r\n", ".one\r\n..two\r\n"),
    ("auto", "no dots\r\n", "no dots\r\n"),
    ("auto", "text\r\n\r\n.\r\n", "text\r\n\r\n"),
    ("raw", "..two\r\n.one\r\n", "..two\r\n.one\r\n"),
    ("unstuff", "..two\r\n.one\r\n", ".two\r\none\r\n"),
]


@pytest.mark.parametrize("setting,written,arrived", DOTS)
def test_dots(setting, written, arrived, new_mailroot):
    mailroot = new_mailroot(pickup={"dots": setting})
    _, content = drop_of(mailroot, BLOCK + message(body=written))
    assert content == message(body=arrived)


def test_a_file_of_ours_is_raw(mailroot):
    """mv Drop/X.eml Pickup/ replays a message without touching its dots."""
    first = message(body="..two\r\n")
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("app@local.example", ["ann@local.example"], first)
    (path,) = mailroot.wait_files("Drop")
    path.rename(mailroot.folder("Pickup") / "again.eml")
    mailroot.wait_idle()
    (again,) = mailroot.wait_files("Drop")
    assert without_trace(without_trace(split_block(again.read_bytes())[1])) == first


def test_bcc_is_stripped_and_its_addresses_are_sent_to(mailroot):
    content = message(to="ann@local.example", extra="Cc: bob@local.example\r\nBcc: eve@local.example,\r\n fay@local.example\r\n")
    block, arrived = drop_of(mailroot, content)
    assert sorted(block[1:]) == [f"x-receiver: {name}@local.example" for name in ("ann", "bob", "eve", "fay")]
    assert arrived == message(to="ann@local.example", extra="Cc: bob@local.example\r\n")


def test_bcc_is_kept_where_that_is_asked_for(new_mailroot):
    mailroot = new_mailroot(pickup={"keepBcc": True})
    content = message(to="ann@local.example", extra="Bcc: eve@local.example\r\n")
    assert drop_of(mailroot, content)[1] == content


def test_lf_line_ends_become_crlf(mailroot):
    content = BLOCK + message(body="one\r\ntwo\r\n")
    assert drop_of(mailroot, content.replace(b"\r\n", b"\n"))[1] == message(body="one\r\ntwo\r\n")


def test_a_byte_order_mark_is_skipped(mailroot):
    block, content = drop_of(mailroot, b"\xef\xbb\xbf" + BLOCK + message())
    assert block == ["x-sender: app@local.example", "x-receiver: ann@local.example"]
    assert content == message()


def test_the_block_wins_over_the_header_and_the_header_stays(mailroot):
    content = message(sender="header@local.example", to="header@local.example")
    block, arrived = drop_of(mailroot, BLOCK + content)
    assert block == ["x-sender: app@local.example", "x-receiver: ann@local.example"]
    assert arrived == content


def test_sender_wins_over_from(mailroot):
    content = message(sender="from@local.example", to="ann@local.example", extra="Sender: sender@local.example\r\n")
    assert drop_of(mailroot, content)[0][0] == "x-sender: sender@local.example"


def test_odd_spellings_of_the_block(mailroot):
    block = (
        b'X-SENDER: "App, the" <app@local.example>\r\nX-Receiver: Ann <ann@local.example>, bob@local.example\r\n'
        b"x-receiver: ann@local.example,\r\n eve@local.example\r\n"
    )
    found, content = drop_of(mailroot, block + message())
    assert found == ["x-sender: app@local.example"] + [
        f"x-receiver: {name}@local.example" for name in ("ann", "bob", "eve")
    ]
    assert content == message()


def test_date_and_message_id_are_added_where_they_are_missing(mailroot):
    _, content = drop_of(mailroot, BLOCK + b"From: app@local.example\r\nSubject: x\r\n\r\nHello.\r\n")
    assert {"date", "message-id"} <= set(field_names(content))
    assert content.endswith(b"\r\n\r\nHello.\r\n")
