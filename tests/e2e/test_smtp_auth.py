"""AUTH: who is let in, who is not, and what is told of it."""

import base64
import os
import signal
import smtplib
import subprocess
import time

import pytest

from harness.accounts import PASSWORD, Certificate, scram, sha512, write_users
from harness.mail import message, split_block
from harness.waiting import wait_for

LOCAL = ["ann@local.example"]


@pytest.fixture
def secure(mailroot, workspace):
    """`joe` has a crypt(3) hash, `ann` a SCRAM secret, `scanner` may send as itself alone."""
    certificate = Certificate(workspace / "tls")
    users = write_users(
        workspace, joe=sha512(), ann=scram(), scanner=f"{sha512()} scan@local.example @*.branch.example"
    )
    mailroot.configure(
        tls=certificate.settings, auth={"users": str(users), "failureDelay": "0s"}, relay={"networks": []}
    )
    serve = mailroot.serve()
    serve.certificate, serve.users = certificate, users
    return serve


def encrypted(serve):
    client = serve.smtp()
    client.starttls()
    client.ehlo()
    return client


def test_auth_is_offered_under_tls_alone(secure):
    with secure.smtp() as client:
        client.ehlo()
        assert not client.has_extn("auth")
        refused = client.docmd("AUTH PLAIN AGpvZQBub3RoaW5n")
        assert refused == (538, b"5.7.11 Encryption required: STARTTLS first")
    with encrypted(secure) as client:
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("user", ["joe", "ann"])
def test_a_user_may_send_to_other_hosts(secure, mailroot, mechanism, user):
    with encrypted(secure) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("joe@local.example", ["bob@example.net"], message())
        client.rset()
        client.user, client.password = user, PASSWORD
        code, _ = client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
        assert code == 235
        client.sendmail("joe@local.example", ["bob@example.net"], message())
        assert client.docmd("AUTH", "PLAIN")[0] == 503
    (path,) = mailroot.wait_files("Queue")
    assert b" with ESMTPSA" in path.read_bytes()


def test_msmtp_by_scram(secure, mailroot, workspace):
    (workspace / "password").write_text(PASSWORD)
    sent = subprocess.run(
        ["msmtp", "--host=127.0.0.1", f"--port={secure.port}", "--tls=on", "--tls-starttls=on",
         f"--tls-trust-file={secure.certificate.certificate}", "--auth=scram-sha-256", "--user=ann",
         f"--passwordeval=cat {workspace}/password", "--from=ann@local.example", "--debug", "bob@example.net"],
        input=message(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    assert b"AUTH SCRAM-SHA-256" in sent.stdout
    (path,) = mailroot.wait_files("Queue")
    assert b" with ESMTPSA" in path.read_bytes()


def test_msmtp_by_scram_with_a_wrong_password(secure):
    sent = subprocess.run(
        ["msmtp", "--host=127.0.0.1", f"--port={secure.port}", "--tls=on", "--tls-starttls=on",
         f"--tls-trust-file={secure.certificate.certificate}", "--auth=scram-sha-256", "--user=ann",
         "--passwordeval=echo wrong", "--from=ann@local.example", "bob@example.net"],
        input=message(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert sent.returncode != 0 and b"535" in sent.stderr
    wait_for(lambda: any("SCRAM-SHA-256 as 'ann'" in line for line in secure.said), "the failure to be told")


@pytest.mark.parametrize("user", ["joe", "ann", "nobody"])
def test_a_wrong_password(secure, user):
    with encrypted(secure) as client:
        response = base64.b64encode(f"\0{user}\0wrong".encode()).decode()
        for _ in range(3):
            assert client.docmd("AUTH PLAIN", response) == (535, b"5.7.8 Authentication unsuccessful")
        assert client.getreply() == (421, b"4.7.0 Too many failed authentications")
    told = f"authentication failed: PLAIN as '{user}'"
    wait_for(lambda: sum(told in line for line in secure.said) == 3, "each failure to be told")
    assert not any("wrong" in line for line in secure.said)


def test_nothing_secret_is_logged(mailroot, workspace):
    users = write_users(workspace, joe=sha512())
    mailroot.configure(auth={"users": str(users), "requireTls": False})
    serve = mailroot.serve("-v")
    response = base64.b64encode(f"\0joe\0{PASSWORD}".encode()).decode()
    with serve.smtp() as client:
        client.ehlo()
        assert client.docmd("AUTH PLAIN", response)[0] == 235
    with serve.smtp() as client:
        client.login("joe", PASSWORD)
    with serve.smtp() as client:
        client.ehlo()
        client.user, client.password = "joe", PASSWORD
        client.auth("LOGIN", client.auth_login)
    assert serve.stop() == 0
    log = "\n".join(serve.said)
    assert "authenticated as joe by LOGIN" in log
    assert response not in log and base64.b64encode(PASSWORD.encode()).decode() not in log


def test_an_unknown_user_takes_as_long_as_a_known_one(mailroot, workspace):
    slow = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", "rounds=200000$abcdefgh", PASSWORD], check=True, capture_output=True, text=True
    ).stdout.strip()
    users = write_users(workspace, joe=slow)
    mailroot.configure(
        auth={"users": str(users), "requireTls": False, "failureDelay": "0s", "failures": 0}, limits={"errors": 0}
    )
    serve = mailroot.serve()

    def time_of(user):
        response = base64.b64encode(f"\0{user}\0wrong".encode()).decode()
        took = []
        with serve.smtp() as client:
            client.ehlo()
            for _ in range(7):
                began = time.monotonic()
                assert client.docmd("AUTH PLAIN", response)[0] == 535
                took.append(time.monotonic() - began)
        return sorted(took)[3]

    known, unknown = time_of("joe"), time_of("nobody")
    assert 0.5 < unknown / known < 2, (known, unknown)


def test_the_loop_goes_on_while_a_password_is_checked(mailroot, workspace):
    slow = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", "rounds=5000000$abcdefgh", PASSWORD], check=True, capture_output=True, text=True
    ).stdout.strip()
    users = write_users(workspace, joe=slow)
    mailroot.configure(auth={"users": str(users), "requireTls": False})
    serve = mailroot.serve()
    with serve.smtp() as slow_client, serve.smtp() as other:
        slow_client.ehlo()
        response = base64.b64encode(f"\0joe\0{PASSWORD}".encode()).decode()
        slow_client.putcmd("AUTH PLAIN", response)
        began = time.monotonic()
        assert other.noop()[0] == 250
        answered = time.monotonic() - began
        assert slow_client.getreply()[0] == 235
        assert answered < (time.monotonic() - began) / 2


def test_who_a_user_may_send_as(secure):
    with encrypted(secure) as client:
        client.login("scanner", PASSWORD)
        for sender, code in [
            ("scan@local.example", 250), ("SCAN@Local.Example", 250), ("a@b.branch.example", 250),
            ("joe@local.example", 553), ("a@branch.example", 553), ("", 250),
        ]:  # fmt: skip
            assert client.mail(sender)[0] == code, sender
            client.rset()


def test_users_are_read_again(secure):
    secure.users.write_text(f"new:{sha512()}\n")
    secure.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "mailroot: reloaded certificate, users and recipients" in secure.said, "the service to reload")
    with encrypted(secure) as client:
        client.login("new", PASSWORD)
    with encrypted(secure) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("joe", PASSWORD)
    secure.users.write_text("new:plaintext\n")
    secure.process.send_signal(signal.SIGHUP)
    wait_for(lambda: any("not reloaded" in line and "line 1: " in line for line in secure.said), "the reason")
    with encrypted(secure) as client:
        client.login("new", PASSWORD)


@pytest.mark.parametrize(
    "text, said",
    [
        ("joe\n", "line 1: expected name:hash"),
        ("# us\njoe:secret\n", "line 2: the hash of 'joe' is of no kind that is slow to guess"),
        (f"joe:{sha512()} nobody@\n", "line 1: 'nobody@' is no sender"),
        ("", "there is no user in it"),
    ],
)
def test_a_users_file_that_is_wrong(mailroot, workspace, text, said):
    (workspace / "users").write_text(text)
    mailroot.configure(auth={"users": str(workspace / "users")})
    done = mailroot.run("serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 78 and f"{workspace}/users: {said}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner needs root")
def test_the_owner_need_not_be_able_to_read_the_users(mailroot, workspace):
    users = write_users(workspace, joe=sha512())
    users.chmod(0o600)
    os.chown(mailroot.root, 65534, 65534)
    mailroot.configure(auth={"users": str(users), "requireTls": False})
    serve = mailroot.serve()
    with serve.smtp() as client:
        client.login("joe", PASSWORD)
        client.sendmail("joe@local.example", LOCAL, message())
    (path,) = mailroot.wait_files("Drop")
    assert path.stat().st_uid == 65534 and split_block(path.read_bytes())[0]
