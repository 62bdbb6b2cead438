"""The commands beside serve, as scripts use them."""

import json

import pytest

from harness.mail import message, split_block
from harness.waiting import wait_for


def test_version_and_help(mailroot):
    assert mailroot.run("--version").stdout.strip()
    for arguments in (["--help"], ["serve", "--help"]):
        done = mailroot.run(*arguments)
        assert done.returncode == 0 and "--" in done.stdout and not done.stderr


def test_global_options_stand_before_or_after_the_command(mailroot):
    for arguments in (["--set", "delivery.port=99", "config-check", "--json"], ["config-check", "--json", "--set", "delivery.port=99"]):
        assert json.loads(mailroot.run(*arguments).stdout)["delivery"]["port"] == 99


def test_config_check_prints_what_it_would_read(mailroot, workspace):
    printed = mailroot.run("config-check", "--json").stdout
    (workspace / "again.json").write_text(printed)
    assert mailroot.run("--config", workspace / "again.json", "config-check", "--json").stdout == printed
    assert json.loads(printed)["domains"]["default"] == "local.example"


def test_send_by_pickup(mailroot):
    mailroot.serve()
    done = mailroot.run(
        "send", "--from", "app@local.example", "--to", "ann@local.example", "--cc", "bob@local.example",
        "--bcc", "eve@local.example", "--subject", "Grüße", "--text", "Hello.\n.\nend", "--header", "X-Job: 7",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = mailroot.wait_files("Drop")
    block, rest = split_block(path.read_bytes())
    assert block == ["x-sender: app@local.example"] + [f"x-receiver: {n}@local.example" for n in ("ann", "bob", "eve")]
    assert b"eve@" not in rest and b"X-Job: 7\r\n" in rest and b"To: ann@local.example\r\n" in rest
    assert b"\r\n\r\nHello.\r\n.\r\nend" in rest


def test_send_by_smtp_with_recipients_from_the_header(mailroot):
    serve = mailroot.serve()
    content = message(to="ann@local.example", extra="Bcc: eve@local.example\r\n").decode()
    done = mailroot.run("send", "-t", "--via", "smtp", "--server", serve.server, input=content)
    assert done.returncode == 0, done.stderr
    (path,) = mailroot.wait_files("Drop")
    block, rest = split_block(path.read_bytes())
    assert block[1:] == ["x-receiver: ann@local.example", "x-receiver: eve@local.example"]
    assert b"Bcc" not in rest


def test_send_json_names_the_message(mailroot):
    serve = mailroot.serve()
    done = mailroot.run(
        "send", "--from", "app@local.example", "--to", "ann@local.example", "--text", "x", "--json",
        "--via", "smtp", "--server", serve.server,
    )  # fmt: skip
    assert done.returncode == 0 and json.loads(done.stdout)["recipients"][0]["verdict"] == "delivered"


def test_send_to_a_server_that_is_not_there(mailroot, loopback):
    done = mailroot.run(
        "send", "--from", "app@local.example", "--to", "ann@local.example", "--text", "x",
        "--via", "smtp", "--server", f"{loopback.host(5)}:{loopback.free_port()}",
    )  # fmt: skip
    assert done.returncode == 75 and "refused" in done.stdout + done.stderr


def test_pickup_drain_sends_what_lies_there_and_ends(mailroot):
    mailroot.create()
    for number in range(5):
        mailroot.submit(f"{number}.eml", message(f"number {number}", to="ann@local.example"))
    dry = mailroot.run("pickup-drain", "--dry-run", "--json")
    assert dry.returncode == 0 and len(mailroot.files("Pickup")) == 5 and not mailroot.files("Drop")
    done = mailroot.run("pickup-drain", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) | {"messages": 5, "delivered": 5} == json.loads(done.stdout)
    assert len(mailroot.files("Drop", "*.eml")) == 5 and not mailroot.files("Pickup")


def test_pickup_drain_defers_with_75(remote):
    remote.mailroot.create().submit("x.eml", message(to="ann@example.net"))
    done = remote.mailroot.run("pickup-drain", "--json")
    assert done.returncode == 75 and json.loads(done.stdout)["deferred"] == 1
    (entry,) = remote.mailroot.report("queue-report")["messages"]
    assert [r["address"] for r in entry["recipients"]] == ["ann@example.net"]


def test_queue_report_of_one_and_of_none(remote):
    remote.mailroot.create().submit("x.eml", message(to="ann@example.net"))
    remote.mailroot.run("pickup-drain")
    (path,) = remote.mailroot.files("Queue", "*.eml")
    table = remote.mailroot.run("queue-report")
    assert table.returncode == 0 and path.stem in table.stdout and "example.net" in table.stdout
    assert remote.mailroot.report("queue-report", path.stem)["messages"][0]["id"] == path.stem
    assert remote.mailroot.run("queue-report", "0" * 24).returncode == 66


def test_queue_report_names_a_file_it_cannot_use(mailroot):
    serve = mailroot.serve()
    damaged = mailroot.folder("Queue") / f"{'ab' * 12}.eml"
    damaged.write_bytes(b"\0\0 this is no mail \0")
    unusable = wait_for(lambda: mailroot.report("queue-report")["unusable"], "it to be named")
    assert damaged.name in unusable[0]["file"] and unusable[0]["reason"]
    assert damaged.exists() and serve.running()


def test_mx_lookup(remote):
    found = remote.mailroot.run("mx-lookup", "--json", "example.net")
    assert found.returncode == 0, found.stderr
    assert found.stdout.index("mx1.example.net") < found.stdout.index("mx2.example.net")
    assert remote.first in found.stdout and json.loads(found.stdout)
    by_input = remote.mailroot.run("mx-lookup", "-", input="bare.example\nexample.org\n")
    assert remote.first in by_input.stdout and "mx1.example.net" in by_input.stdout


@pytest.mark.parametrize("name,code", [("nowhere.example", 68), ("no-mail.example", 68)])
def test_mx_lookup_of_a_domain_without_mail(name, code, remote):
    assert remote.mailroot.run("mx-lookup", name).returncode == code


def test_mx_lookup_when_no_name_server_answers(mailroot):
    assert mailroot.run("mx-lookup", "example.net").returncode == 75
