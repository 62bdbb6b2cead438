"""Two servers that each take the other for the mail host of a domain."""

import pytest

from harness.mail import envelope_block, field_names, message, split_block

RECIPIENT = "ann@loop.example"


@pytest.fixture
def ring(new_mailroot, loopback):
    """Each sends the mail of loop.example to the other, and the other's own."""
    port = loopback.free_port()
    entries = {"one.example": loopback.host(1), "two.example": loopback.host(2)}
    ring = []
    for name, other in [("one.example", "two.example"), ("two.example", "one.example")]:
        there = {"smartHost": f"[{entries[other]}]:{port}"}
        ring.append(
            new_mailroot(
                hostname=f"mail.{name}", domains={"default": name, "remote": {"loop.example": there, other: there}}
            )
        )
        ring[-1].entry = f"{entries[name]}:{port}"
    return ring


# The sender's own server is told by the other one that it is enough, or tells the other one so.
@pytest.mark.parametrize("settings", [{}, {"hops": 4}, {"hops": 5}], ids=["default", "even", "odd"])
def test_a_loop_ends_at_the_hop_limit_with_one_report(settings, ring):
    one, two = ring
    for mailroot in ring:
        mailroot.configure(delivery=settings)
        mailroot.serve("--listen", mailroot.entry)
    sent = message(to=RECIPIENT)
    one.submit("x.eml", envelope_block("app@one.example", RECIPIENT) + sent)
    (path,) = one.wait_files("Drop")
    for mailroot in ring:
        mailroot.wait_idle()
        assert not mailroot.files("Badmail")
    assert len(one.files("Drop")) == 1 and not two.files("Drop")

    block, report = split_block(path.read_bytes())
    assert block == ["x-sender: <>", "x-receiver: app@one.example"]
    assert b"Final-Recipient: rfc822;ann@loop.example\r\n" in report and b"Status: 5.4.6\r\n" in report
    assert b"mail loop" in report
    returned = report[report.index(b"message/rfc822") :].partition(b"\r\n\r\n")[2]
    assert sent in returned
    assert field_names(returned).count("received") == settings.get("hops", 15) + 1
