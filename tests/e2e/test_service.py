"""serve starts and stops cleanly, or says in one line why it cannot."""

import os
import re
import signal
import socket
import subprocess

import pytest

from harness.mail import message
from harness.mailroot import PROGRAM
from harness.waiting import wait_for


# -q: a port is bound before a folder is opened, which would be told too.
QUIET_SERVE = ["-q", "serve", "--listen", "127.0.0.1:0"]


def assert_one_clear_line(done, code, *words):
    assert done.returncode == code, (done.returncode, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("mailroot: "), lines
    for word in words:
        assert re.search(word, lines[0]), (word, lines[0])
    assert not done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(number, mailroot):
    serve = mailroot.serve()
    serve.process.send_signal(number)
    assert serve.process.wait(timeout=30) == 0


def test_it_ends_while_clients_are_connected(mailroot):
    serve = mailroot.serve()
    with socket.create_connection(("127.0.0.1", serve.port)) as idle:
        assert idle.recv(3) == b"220"
        assert serve.stop() == 0


def test_it_creates_what_is_missing(mailroot):
    mailroot.serve()
    found = {path.name for path in mailroot.root.iterdir() if path.is_dir()}
    assert {"Pickup", "Queue", "Drop", "Badmail"} <= found
    assert not found & {"Mailbox", "Route", "SortTemp"}, "legacy"
    modes = {name: (mailroot.root / name).stat().st_mode & 0o7777 for name in ("Queue", "Drop", "Badmail", "Pickup")}
    assert modes == {"Queue": 0o700, "Drop": 0o700, "Badmail": 0o700, "Pickup": 0o3730}


def test_several_listeners(mailroot):
    serve = mailroot.serve("--listen", "[::1]:0")
    port = wait_for(lambda: re.search(r"listening on \[::1\]:(\d+)", "\n".join(serve.said)), "the second listener")
    with socket.create_connection(("::1", int(port.group(1)))) as client:
        assert client.recv(3) == b"220"


def test_a_port_in_use(mailroot):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert_one_clear_line(mailroot.run("serve", "--listen", address), 69, re.escape(address), "in use")


def test_an_address_that_is_not_ours(mailroot):
    assert mailroot.run("serve", "--listen", "192.0.2.1:2525").returncode == 69


def test_a_broken_config_names_file_and_line(mailroot):
    config = mailroot.root / "mailroot.json"
    config.write_text('{\n  "hostname": "x",\n  "limits": {,}\n}\n')
    mailroot.create()
    for command in (["serve"], ["config-check"], ["queue-retry"], ["pickup-drain"]):
        assert_one_clear_line(mailroot.run(*command), 78, re.escape(str(config)), "line 3")


def test_a_config_that_is_not_there(mailroot, workspace):
    missing = workspace / "missing.json"
    assert_one_clear_line(mailroot.run("--config", missing, "serve"), 78, re.escape(str(missing)))


def test_a_config_that_cannot_be_read(mailroot, workspace):
    assert_one_clear_line(mailroot.run("--config", workspace, "serve"), 78, re.escape(str(workspace)))


def test_an_unknown_key_names_the_nearest(mailroot):
    mailroot.configure(delivery={"retyr": ["1m"]})
    assert_one_clear_line(mailroot.run("serve"), 78, "delivery.retyr", "delivery.retry")


def test_an_unknown_key_on_the_command_line(mailroot):
    assert_one_clear_line(mailroot.run("--set", "pickup.dot=raw", "serve"), 78, "pickup.dot", "pickup.dots")


BAD_VALUES = [
    ("delivery.port", "delivery.port"),
    ("delivery.port=70000", "delivery.port"),
    ("delivery.expire=2", "delivery.expire"),
    ("limits.messageSize=many", "limits.messageSize"),
    ("pickup.dots=sometimes", "pickup.dots"),
    ("pickup.keepBcc=perhaps", "pickup.keepBcc"),
]


@pytest.mark.parametrize("setting,key", BAD_VALUES)
def test_a_value_of_the_wrong_kind_names_its_key(setting, key, mailroot):
    assert_one_clear_line(mailroot.run("--set", setting, "config-check"), 78, re.escape(key))


def test_a_root_that_is_a_file(mailroot, workspace):
    root = workspace / "file"
    root.write_text("")
    done = subprocess.run([PROGRAM, "--root", root, *QUIET_SERVE], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (66, 73), done.stderr
    assert_one_clear_line(done, done.returncode, re.escape(str(root)))


def test_a_root_that_cannot_be_made():
    done = subprocess.run([PROGRAM, "--root", "/proc/mailroot", *QUIET_SERVE], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (66, 73, 77), done.stderr
    assert_one_clear_line(done, done.returncode, "/proc/mailroot")


@pytest.mark.skipif(os.geteuid() != 0, reason="it is root that must not be led")
def test_root_reads_no_config_that_others_may_write(mailroot):
    config = mailroot.root / "mailroot.json"
    config.chmod(0o666)
    done = mailroot.run("config-check")
    assert done.returncode in (77, 78)
    assert_one_clear_line(done, done.returncode, re.escape(str(config)))


@pytest.mark.parametrize("command", ["queue-report", "queue-retry", "badmail-report", "pickup-drain"])
def test_a_root_that_is_no_mailroot(command, workspace):
    root = workspace / "nothing"
    done = subprocess.run([PROGRAM, "--root", root, command], capture_output=True, text=True, timeout=30, check=False)
    assert_one_clear_line(done, 66, re.escape(str(root)))
    assert not root.exists()


BAD_COMMAND_LINES = [
    [],
    ["no-such-command"],
    ["serve", "--no-such-flag"],
    ["serve", "--listen", "nonsense"],
    ["serve", "--listen", "127.0.0.1:70000"],
    ["pickup-drain", "--wait", "soon"],
    ["send", "--from", "a@local.example"],
    ["send", "--from", "not an address", "--to", "b@local.example"],
    ["send", "--via", "pigeon", "--from", "a@local.example", "--to", "b@local.example"],
    ["queue-retry", "not-an-id"],
    ["mx-lookup"],
]


@pytest.mark.parametrize("arguments", BAD_COMMAND_LINES, ids=" ".join)
def test_a_bad_command_line(arguments, mailroot):
    done = mailroot.run(*arguments, stdin=subprocess.DEVNULL)
    assert done.returncode == 64, (done.returncode, done.stderr)
    assert done.stderr.strip() and not done.stdout
    assert not mailroot.files("Pickup"), "nothing was sent"


def test_no_start_leaves_no_half(mailroot, workspace):
    """A service that cannot listen has not begun to work either."""
    mailroot.submit("x.eml", message(to="ann@local.example"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        mailroot.run("serve", "--listen", f"127.0.0.1:{other.getsockname()[1]}")
    assert mailroot.files("Pickup") and not mailroot.files("Drop")
