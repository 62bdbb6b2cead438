"""Mail that comes by SMTP for a local domain lies in Drop, octet for octet."""

import subprocess

from harness.mail import message, split_block, without_trace

HARD_BODY = (
    "A line.\r\n.\r\n..\r\n.leading dot\r\n\r\nFrom the start of a line\r\n"
    + "x" * 990
    + "\r\nx-receiver: nobody@local.example\r\n\tend without a blank line"
)


def test_swaks(mailroot):
    serve = mailroot.serve()
    subprocess.run(
        ["swaks", "--server", serve.server, "--from", "app@elsewhere.example", "--to", "ann@local.example",
         "--helo", "client.example", "--header", "Subject: from swaks", "--body", "Hello.", "--silent", "2"],
        check=True,
    )  # fmt: skip
    (path,) = mailroot.wait_files("Drop")
    block, rest = split_block(path.read_bytes())
    assert block == ["x-sender: app@elsewhere.example", "x-receiver: ann@local.example"]
    assert b"Subject: from swaks\r\n" in rest and rest.rstrip().endswith(b"\r\n\r\nHello.")


def test_every_octet_of_a_message_stays_as_it_was(mailroot):
    serve = mailroot.serve()
    sent = message(body=HARD_BODY + "\r\n")
    with serve.smtp() as client:
        client.sendmail("app@elsewhere.example", ["ann@local.example"], sent)
    (path,) = mailroot.wait_files("Drop")
    assert without_trace(split_block(path.read_bytes())[1]) == sent


def test_eight_bit_octets_stay(mailroot):
    serve = mailroot.serve()
    sent = message() + bytes(range(128, 256)) + b"\r\n"
    with serve.smtp() as client:
        client.sendmail("app@elsewhere.example", ["ann@local.example"], sent, ["BODY=8BITMIME"])
    (path,) = mailroot.wait_files("Drop")
    assert without_trace(split_block(path.read_bytes())[1]) == sent


def test_curl(mailroot, workspace):
    serve = mailroot.serve()
    sent = message(body=HARD_BODY + "\r\n")
    (workspace / "message").write_bytes(sent)
    subprocess.run(
        ["curl", "-sS", f"smtp://{serve.server}", "--mail-from", "app@elsewhere.example",
         "--mail-rcpt", "ann@local.example", "--upload-file", workspace / "message"],
        check=True,
    )  # fmt: skip
    (path,) = mailroot.wait_files("Drop")
    assert without_trace(split_block(path.read_bytes())[1]) == sent


def test_one_file_for_all_local_recipients_with_bare_envelope_lines(mailroot):
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("<app@elsewhere.example>", ["<ann@local.example>", "<bob@LOCAL.example>"], message())
    (path,) = mailroot.wait_files("Drop")
    block, rest = split_block(path.read_bytes())
    assert block[:2] == ["x-sender: app@elsewhere.example", "x-receiver: ann@local.example"]
    assert block[2].lower() == "x-receiver: bob@local.example" and len(block) == 3
    assert rest.startswith(b"Received: ")
    assert path.name[:-4] in rest.decode(), "the id stands in Received"


def test_many_messages_on_one_connection(mailroot):
    serve = mailroot.serve()
    with serve.smtp() as client:
        for number in range(30):
            client.sendmail("app@elsewhere.example", ["ann@local.example"], message(f"number {number}"))
    files = mailroot.wait_files("Drop", 30)
    subjects = [line for f in files for line in f.read_text().splitlines() if line.startswith("Subject: ")]
    assert subjects == [f"Subject: number {n}" for n in range(30)], "ids sort by arrival"


def test_an_alias_domain_is_local(new_mailroot):
    mailroot = new_mailroot(domains={"aliases": ["second.example", "*.third.example"]})
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.sendmail("app@elsewhere.example", ["ann@second.example", "bob@a.third.example"], message())
    (path,) = mailroot.wait_files("Drop")
    assert split_block(path.read_bytes())[0][1:] == [
        "x-receiver: ann@second.example",
        "x-receiver: bob@a.third.example",
    ]
