"""How we log in at a smart host, and where the secret for it comes from."""

import json
import os
import stat

import pytest

from harness.accounts import Certificate
from harness.chain import DOMAIN
from harness.mail import envelope_block, message
from harness.waiting import wait_for
from test_tls_out import server_context

RECIPIENT = "ann@elsewhere.example"
PASSWORD = "open sesame"


def submit(mailroot, recipient=RECIPIENT, name="m.eml"):
    mailroot.submit(name, envelope_block("app@local.example", recipient) + message())


def said(serve, *words):
    wait_for(lambda: any(all(word in line for word in words) for line in serve.said), f"{words} to be said")


def deferred(serve, *words):
    said(serve, f"deferred {RECIPIENT}", *words)


def warnings(serve):
    return [line for line in serve.said if "no login as" in line]


@pytest.fixture
def relay(remote, login_host, workspace):
    """relay(secrets, ...): mx1.example.net, which is our smart host."""
    certificate = Certificate(workspace / "tls", name="mx1.example.net")
    remote.mailroot.configure(delivery={"smartHost": f"mx1.example.net:{remote.port}", "retry": ["1h"]})

    def start(secrets, **how):
        how.setdefault("tls", server_context(certificate))
        return login_host(remote.first, remote.port, secrets, **how)

    return start


@pytest.fixture
def mailroot(remote, workspace):
    """Ours; mailroot.log_in(passwordFile=...) says how joe logs in."""
    remote.mailroot.log_in = lambda **how: remote.mailroot.configure(
        delivery={"smartHostLogin": {"user": "joe", **how}}
    )
    (workspace / "password").write_text(PASSWORD + "\n")
    return remote.mailroot


@pytest.fixture
def client(mailroot, endpoint, workspace):
    """client(...): the mailroot has its tokens from the endpoint."""
    (workspace / "client").write_text("client-secret\n")
    mailroot.configure(tls={"authorities": str(endpoint.certificate.certificate)})

    def configure(**more):
        mailroot.log_in(oauth={
            "endpoint": endpoint.url, "clientId": "client-id", "clientSecretFile": str(workspace / "client"), **more,
        })  # fmt: skip

    return configure


# --- what is shown to the host -------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_password(relay, mailroot, workspace, mechanism):
    host = relay({"joe": PASSWORD}, mechanisms={mechanism, "XOAUTH2", "OAUTHBEARER"})
    mailroot.log_in(passwordFile=str(workspace / "password"))
    mailroot.serve()
    submit(mailroot)
    mailroot.wait_idle()
    assert host.recipients() == [RECIPIENT] and host.taken[0].encrypted
    assert [login[:2] for login in host.logins] == [(mechanism, "joe")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_password_at_postfix_and_dovecot(chain, mailroot, remote, mechanism, workspace):
    chain.postfix.configure("smtpd_sasl_mechanism_filter", mechanism.lower())
    (workspace / "password").write_text("secret\n")
    mailroot.configure(delivery={"smartHost": f"mx2.example.net:{remote.port}", "tls": "none"})
    mailroot.log_in(passwordFile=str(workspace / "password"))
    mailroot.serve()
    submit(mailroot, f"reader@{DOMAIN}")
    wait_for(chain.arrived, "the message in its maildir")
    assert f"sasl_method={mechanism}, sasl_username=joe" in chain.postfix.log()


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token(relay, mailroot, mechanism):
    host = relay({"joe": "the.token"}, mechanisms={"PLAIN", "LOGIN", "CRAM-MD5", mechanism})
    mailroot.log_in(tokenCommand=["printf", "%s\\nrest", "the.token"])
    mailroot.serve()
    submit(mailroot)
    mailroot.wait_idle()
    assert host.logins == [(mechanism, "joe", "the.token")] and host.taken[0].encrypted


def test_a_token_is_not_said_in_the_clear_whatever_tls_says(relay, mailroot):
    host = relay({"joe": "the.token"}, tls=None)
    mailroot.log_in(tokenCommand=["echo", "the.token"])
    mailroot.configure(delivery={"tls": "none"})
    serve = mailroot.serve()
    submit(mailroot)
    deferred(serve, "the host does not offer TLS")
    assert not host.logins


def test_a_token_is_not_shown_to_a_host_for_passwords(relay, mailroot):
    host = relay({"joe": "the.token"}, mechanisms={"PLAIN", "LOGIN", "CRAM-MD5"})
    mailroot.log_in(tokenCommand=["echo", "the.token"])
    serve = mailroot.serve()
    submit(mailroot)
    deferred(serve, "the host offers no way to log in")
    assert not host.logins


def test_a_connection_lost_while_we_log_in_is_no_refusal(relay, mailroot, workspace):
    relay({"joe": PASSWORD}, mechanisms={"PLAIN"}, hang_up="AUTH")
    mailroot.log_in(passwordFile=str(workspace / "password"))
    serve = mailroot.serve()
    submit(mailroot)
    deferred(serve, "connection closed before the login was over")
    assert not warnings(serve)


def test_a_domain_with_a_smart_host_has_a_login_of_its_own(relay, mailroot, remote, login_host, workspace):
    (workspace / "other").write_text("another password\n")
    mailroot.log_in(passwordFile=str(workspace / "password"))
    mailroot.configure(
        domains={"remote": {
            "branch.example": {
                "smartHost": f"mx1.example.net:{remote.port}",
                "smartHostLogin": {"user": "branch", "passwordFile": str(workspace / "other")},
            },
        }},
    )  # fmt: skip
    host = relay({"joe": PASSWORD, "branch": "another password"})
    mailroot.serve()
    submit(mailroot, "a@branch.example", "1.eml")
    submit(mailroot, "b@elsewhere.example", "2.eml")
    mailroot.wait_idle()
    assert sorted(host.recipients()) == ["a@branch.example", "b@elsewhere.example"]
    assert sorted(login[1] for login in host.logins) == ["branch", "joe"]


# --- where the secret comes from -----------------------------------------------------------------


def test_a_new_password_needs_no_restart(relay, mailroot, workspace):
    host = relay({"joe": "another"})
    mailroot.log_in(passwordFile=str(workspace / "password"))
    serve = mailroot.serve()
    submit(mailroot)
    deferred(serve, "login refused: 535")
    (workspace / "password").write_text("another\n")
    assert mailroot.run("queue-retry", "--all").returncode == 0
    # The service leaves the host alone for a while, unless it is asked.
    submit(mailroot)
    (waiting,) = mailroot.wait_files("Queue", pattern="*.json")
    waiting.with_suffix(".eml").touch()
    mailroot.wait_idle()
    assert host.recipients() == [RECIPIENT] * 2


def test_a_password_from_a_command(relay, mailroot, workspace):
    host = relay({"joe": "$HOME; it's"})
    mailroot.log_in(passwordCommand=["echo", "$HOME; it's"])
    mailroot.serve()
    for number in range(5):
        submit(mailroot, name=f"{number}.eml")
    mailroot.wait_idle()
    assert host.recipients() == [RECIPIENT] * 5


def test_a_command_is_asked_anew_where_its_password_is_refused(relay, mailroot, workspace):
    mailroot.configure(delivery={"messagesPerConnection": 1})
    host = relay({"joe": PASSWORD}, mechanisms={"PLAIN"})
    mailroot.log_in(passwordCommand=["cat", str(workspace / "password")])
    serve = mailroot.serve()
    submit(mailroot)
    mailroot.wait_idle()
    (workspace / "password").write_text("new\n")
    host.secrets["joe"] = "new"
    submit(mailroot)
    mailroot.wait_idle()
    assert [login[2] for login in host.logins[-2:]] == [PASSWORD, "new"]
    assert not warnings(serve)


def test_a_command_that_fails_defers(relay, mailroot):
    host = relay({"joe": PASSWORD})
    mailroot.log_in(passwordCommand=["sh", "-c", f"echo {PASSWORD}; echo {PASSWORD} >&2; exit 3"])
    serve = mailroot.serve("-v")
    submit(mailroot)
    deferred(serve, "cannot log in: sh: ended with 3")
    assert len(warnings(serve)) == 1 and not host.logins
    assert not any(PASSWORD in line for line in serve.said)


def test_a_command_that_hangs_holds_nothing_up(relay, mailroot, remote, scripted):
    mailroot.configure(domains={"remote": {"example.org": {"smartHost": f"[{remote.second}]:{remote.port}"}}})
    other = scripted(remote.second, remote.port)
    mailroot.log_in(passwordCommand=["sleep", "600"])
    serve = mailroot.serve()
    submit(mailroot)
    mailroot.wait_files("Queue", pattern="*.pickup")
    submit(mailroot, "b@example.org", "other.eml")
    wait_for(lambda: other.recipients() == ["b@example.org"], "other mail to go")
    wait_for(lambda: warnings(serve), "the command to be given up", 40)
    deferred(serve, "cannot log in: sleep: takes too long")


# --- a token endpoint ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["body", "basic"])
def test_a_client_in_its_own_name(relay, mailroot, client, endpoint, how):
    host = relay({"joe": "token1"})
    client(clientAuthentication=how, scope="https://outlook.office365.com/.default")
    mailroot.configure(delivery={"messagesPerConnection": 1})
    mailroot.serve()
    for number in range(20):
        submit(mailroot, name=f"{number}.eml")
    mailroot.wait_idle()
    assert len(host.recipients()) == 20
    (asked,) = endpoint.asked
    form = {"grant_type": "client_credentials", "scope": "https://outlook.office365.com/.default"}
    if how == "body":
        assert asked.form == form | {"client_id": "client-id", "client_secret": "client-secret"} and not asked.client
    else:
        assert asked.form == form and asked.client == "client-id:client-secret"


def test_a_refresh_token_is_exchanged(relay, mailroot, client, endpoint, workspace):
    """Each token is good for a second, and each refresh token once."""
    host = relay({"joe": ""})
    path = workspace / "refresh"
    path.write_text("refresh0\n")
    path.chmod(0o600)
    os.chown(path, mailroot.root.stat().st_uid, mailroot.root.stat().st_gid)

    def answer():
        number = len(endpoint.asked)
        assert endpoint.asked[-1].form["refresh_token"] == f"refresh{number - 1}"
        host.secrets["joe"] = f"token{number}"
        return endpoint.next_token(expires_in=2, refresh_token=f"refresh{number}")

    endpoint.answer = answer
    client(refreshTokenFile=str(path))
    mailroot.configure(delivery={"messagesPerConnection": 1})
    mailroot.serve()
    for number in range(1, 4):
        before = path.stat().st_ino
        wait_for(lambda: submit(mailroot) or mailroot.wait_idle() or len(endpoint.asked) >= number, "a token to run out")
        assert path.read_text() == f"refresh{number}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.stat().st_ino != before
    assert {asked.form["grant_type"] for asked in endpoint.asked} == {"refresh_token"}
    assert not [p for p in workspace.iterdir() if p.name.startswith(".refresh")]


def test_a_token_that_is_refused_is_exchanged_once(relay, mailroot, client, endpoint):
    host = relay({"joe": "token1"})
    client()
    mailroot.configure(delivery={"messagesPerConnection": 1})
    serve = mailroot.serve()
    submit(mailroot)
    mailroot.wait_idle()
    host.secrets["joe"] = "token2"
    submit(mailroot)
    mailroot.wait_idle()
    assert [login[2] for login in host.logins] == ["token1", "token1", "token2"]
    assert len(endpoint.asked) == 2 and not warnings(serve)

    host.secrets["joe"] = "none of them"
    submit(mailroot)
    deferred(serve, "login refused: 535 5.7.8 joe is not known by ...")
    assert [login[2] for login in host.logins[3:]] == ["token2", "token3"]
    assert len(endpoint.asked) == 3 and len(warnings(serve)) == 1
    assert mailroot.files("Queue", "*.eml") and not mailroot.files("Badmail")


def test_a_login_that_fails_is_reported_once(relay, mailroot, workspace):
    relay({"joe": "another"}, mechanisms={"LOGIN"})
    mailroot.log_in(passwordFile=str(workspace / "password"))
    serve = mailroot.serve()
    for number in range(10):
        submit(mailroot, name=f"{number}.eml")
    wait_for(lambda: len([line for line in serve.said if "deferred" in line]) == 10, "ten deferrals")
    (warning,) = warnings(serve)
    assert "no login as joe at mx1.example.net" in warning and "535 5.7.8 joe is not known by ..." in warning


def answers(status, body):
    return lambda: (status, body)


@pytest.mark.parametrize(
    "answer, reason",
    [
        (answers(400, {"error": "invalid_client", "error_description": "AADSTS7000215: client-secret is wrong"}),
         "invalid_client: AADSTS7000215: ... is wrong"),
        (answers(401, {"error": "invalid_client"}), "invalid_client"),
        (answers(200, b"<html>"), "HTTP 200, and the answer is no JSON object"),
        (answers(302, b""), "HTTP 302, and the answer is no JSON object"),
        (answers(503, {}), "HTTP 503 without a reason"),
        (answers(200, b"{" + b" " * 100_000 + b"}"), "the answer is too long"),
    ],
)  # fmt: skip
def test_an_endpoint_that_gives_no_token_defers(relay, mailroot, client, endpoint, answer, reason):
    host = relay({"joe": "token1"})
    endpoint.answer = answer
    client()
    serve = mailroot.serve("-v")
    submit(mailroot)
    deferred(serve, f"cannot log in: {endpoint.url}: {reason}")
    assert not host.logins and len(warnings(serve)) == 1
    assert not any("client-secret" in line for line in serve.said)


def test_mail_goes_once_the_endpoint_is_back(relay, mailroot, client, endpoint):
    host = relay({"joe": "token2"})
    endpoint.answer = answers(500, b"")
    mailroot.configure(delivery={"retry": ["1s"]})
    client()
    serve = mailroot.serve()
    submit(mailroot)
    deferred(serve, "HTTP 500")
    endpoint.answer = lambda: (200, {"access_token": "token2"})
    mailroot.wait_idle()
    assert host.recipients() == [RECIPIENT]


def test_an_endpoint_that_is_not_there_or_not_trusted_defers(relay, mailroot, client, endpoint, workspace):
    host = relay({"joe": "token1"})
    client()
    mailroot.configure(tls={"authorities": str(Certificate(workspace / "others").certificate)})
    serve = mailroot.serve()
    submit(mailroot)
    deferred(serve, "cannot log in: https://", "certificate")
    assert serve.stop() == 0 and not endpoint.asked
    endpoint.stop()
    serve = mailroot.serve()
    submit(mailroot, name="another.eml")
    deferred(serve, "cannot log in: https://", "onnect")
    assert not host.logins


def test_no_secret_is_shown_to_anybody_else(relay, mailroot, client, endpoint, workspace):
    relay({"joe": "none of them"})
    (workspace / "refresh").write_text("refresh-token\n")
    client(refreshTokenFile=str(workspace / "refresh"))
    serve = mailroot.serve("-v")
    submit(mailroot)
    deferred(serve, "login refused")
    wait_for(lambda: mailroot.files("Queue", "*.json"), "the history")
    shown = [*serve.said, *(p.read_text() for p in mailroot.files("Queue", "*.json"))]
    for command in (["config-check"], ["config-check", "--json"], ["queue-report", "--json"], ["queue-report"]):
        done = mailroot.run("-v", *command)
        assert done.returncode == 0, done.stderr
        shown += [done.stdout, done.stderr]
    assert json.loads(shown[-6])["delivery"]["smartHostLogin"]["oauth"]["clientId"] == "client-id"
    for secret in ("token1", "client-secret", "refresh-token"):
        assert not [text for text in shown if secret in text]
