"""The clients that people use send, and what lies in Drop is what they sent, octet for octet."""

import email
import email.policy
import os
import smtplib
import subprocess
from email.message import EmailMessage

import pytest

from harness.accounts import PASSWORD, Certificate, sha512, write_users
from harness.mail import first_field, message, split_block, without_field, without_trace
from harness.postfix import Postfix

SENDER, RECIPIENT = "app@elsewhere.example", "ann@local.example"
BODY = (
    "First.\r\n.\r\n..\r\n.leading dot\r\n\r\nFrom the start\r\n" + "x" * 990 + "\r\n\tblanks at the end  \r\n" + "line\r\n" * 3000
)


@pytest.fixture
def secure(mailroot, workspace):
    """Relays for users alone, so that each client has to authenticate for other hosts."""
    certificate = Certificate(workspace / "tls")
    users = write_users(workspace, joe=sha512())
    mailroot.configure(tls=certificate.settings, auth={"users": str(users)}, relay={"networks": []})
    serve = mailroot.serve("--listen", "127.0.0.1:0 implicit")
    serve.certificate = certificate.certificate
    serve.implicit = int([line for line in serve.said if "listening on" in line][1].rpartition(":")[2])
    return serve


def stored(mailroot, folder="Drop"):
    """The one message there: its envelope lines, and what was sent."""
    (path,) = mailroot.wait_files(folder)
    block, rest = split_block(path.read_bytes())
    return block, without_trace(rest)


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, timeout=120, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_swaks(secure, mailroot, workspace):
    (workspace / "message").write_bytes(message(body=BODY))
    run(
        "swaks", "--server", f"127.0.0.1:{secure.port}", "--from", SENDER, "--to", "bob@example.net", "--tls",
        "--tls-verify", "--tls-ca-path", secure.certificate, "--auth", "PLAIN", "--auth-user", "joe",
        "--auth-password", PASSWORD, "--data", f"@{workspace}/message",
    )  # fmt: skip
    block, octets = stored(mailroot, "Queue")
    assert "x-receiver: <bob@example.net>" in block
    assert octets.rstrip() == message(body=BODY).rstrip()


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_curl(secure, mailroot, workspace, scheme):
    (workspace / "message").write_bytes(message(body=BODY))
    port = secure.port if scheme == "smtp" else secure.implicit
    run(
        "curl", "-sS", f"{scheme}://127.0.0.1:{port}", "--ssl-reqd", "--cacert", secure.certificate, "--user",
        f"joe:{PASSWORD}", "--mail-from", SENDER, "--mail-rcpt", "bob@example.net", "--upload-file",
        workspace / "message",
    )  # fmt: skip
    assert stored(mailroot, "Queue")[1] == message(body=BODY)


@pytest.mark.parametrize("starttls", ["on", "off"])
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_msmtp(secure, mailroot, starttls, mechanism):
    port = secure.port if starttls == "on" else secure.implicit
    run(
        "msmtp", "--host=127.0.0.1", f"--port={port}", "--tls=on", f"--tls-starttls={starttls}",
        f"--tls-trust-file={secure.certificate}", f"--auth={mechanism}", "--user=joe",
        f"--passwordeval=echo {PASSWORD}", f"--from={SENDER}", RECIPIENT, "bob@example.net",
        input=message(body=BODY),
    )  # fmt: skip
    block, octets = stored(mailroot, "Queue")
    assert [line.partition("<")[2] for line in block[1:]] == [f"{RECIPIENT}>", "bob@example.net>"]
    assert octets == message(body=BODY)


def test_s_nail(secure, mailroot):
    run(
        "s-nail", "-n", "-S", f"mta=smtp://joe:{PASSWORD.replace(' ', '%20')}@localhost:{secure.port}",
        "-S", "smtp-use-starttls", "-S", "smtp-auth=login", "-S", f"tls-ca-file={secure.certificate}",
        "-S", "tls-verify=strict", "-S", "v15-compat", "-S", f"from={SENDER}", "-s", "Grüße", "-a", secure.certificate,
        RECIPIENT, input=".Hällo\n.\nWorld\n".encode(), env=os.environ | {"LC_ALL": "C.UTF-8", "TERM": "dumb"},
    )  # fmt: skip
    sent = email.message_from_bytes(stored(mailroot)[1], policy=email.policy.default)
    assert sent["Subject"] == "Grüße"
    text, attachment = sent.iter_parts()
    assert text.get_content().splitlines() == [".Hällo", ".", "World"]
    assert attachment.get_payload(decode=True).split() == secure.certificate.read_bytes().split()


def test_smtplib(secure, mailroot):
    composed = EmailMessage()
    composed["From"], composed["To"], composed["Subject"] = SENDER, "jörg@local.example", "Grüße aus Köln"
    composed.set_content("Hällo.\n.\n" + "ö" * 200 + "\n", cte="8bit")
    with smtplib.SMTP("127.0.0.1", secure.port) as client:
        client.starttls()
        client.login("joe", PASSWORD)
        client.send_message(composed)
    block, octets = stored(mailroot)
    assert block == [f"x-sender: {SENDER}", "x-receiver: jörg@local.example"]
    # Date and Message-ID are added behind the trace field, for who authenticated.
    for name in ("Date", "Message-ID"):
        octets = without_field(octets, name)
    assert octets == composed.as_bytes(policy=email.policy.SMTPUTF8)


def test_bdat_by_hand(mailroot):
    serve = mailroot.serve()
    octets = bytes(range(256)) * 300 + b"no line end"
    sent = message(extra="Content-Transfer-Encoding: binary\r\n").partition(b"Hello.")[0] + octets
    with serve.smtp() as client:
        client.ehlo()
        assert client.docmd(f"MAIL FROM:<{SENDER}> BODY=BINARYMIME")[0] == 250
        assert client.docmd(f"RCPT TO:<{RECIPIENT}>")[0] == 250
        assert client.docmd("DATA")[0] == 503
        for at in range(0, len(sent), 30000):
            chunk = sent[at : at + 30000]
            client.sock.sendall(f"BDAT {len(chunk)}{' LAST' if at + 30000 >= len(sent) else ''}\r\n".encode() + chunk)
            assert client.getreply()[0] == 250
    assert stored(mailroot)[1] == sent


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix needs root")
@pytest.mark.parametrize("tls", ["none", "encrypt"])
def test_postfix(secure, mailroot, workspace, loopback, tls):
    (workspace / "postfix").mkdir()
    postfix = Postfix(
        workspace / "postfix", loopback.host(14), loopback.free_port(), "relay.example",
        f"relayhost = [127.0.0.1]:{secure.port}\nsmtp_tls_security_level = {tls}\n",
    )  # fmt: skip
    try:
        with smtplib.SMTP(postfix.address, postfix.port) as client:
            for recipient in (RECIPIENT, "bob@local.example"):
                client.sendmail(SENDER, [recipient], message(body=BODY), ["BODY=8BITMIME"])
        found = mailroot.wait_files("Drop", 2)
    finally:
        print(postfix.log())
        postfix.stop()
    for path in found:
        octets = without_trace(split_block(path.read_bytes())[1])
        assert first_field(octets) == "Received"
        octets = without_field(octets, "Received")
        # Postfix breaks lines that are longer than RFC 5321 has them, and ours are not.
        assert octets == message(body=BODY)
        trace = path.read_bytes().partition(b"Received: ")[2].partition(b"Received: ")[0]
        assert (b" with ESMTPS" in trace) == (tls == "encrypt")


MONO = """
using System.Net.Mail;

class Send
{
    static void Main(string[] arguments)
    {
        var client = new SmtpClient("127.0.0.1", int.Parse(arguments[0]));
        var message = new MailMessage("app@elsewhere.example", "ann@local.example", "Gr\\u00fc\\u00dfe",
                                      ".H\\u00e4llo\\r\\n.\\r\\nWorld\\r\\n");
        message.Attachments.Add(Attachment.CreateAttachmentFromString("a,b\\r\\n1,2\\r\\n", "table.csv"));
        client.Send(message);
        client.Send("app@elsewhere.example", "bob@local.example", "second", "over the same client");
    }
}
"""


def test_mono(secure, mailroot, workspace):
    """Without TLS: Mono's SmtpClient asks for TLS 1.0, whatever it is told."""
    (workspace / "send.cs").write_text(MONO)
    run("mcs", f"-out:{workspace}/send.exe", workspace / "send.cs")
    run("mono", workspace / "send.exe", secure.port)
    files = mailroot.wait_files("Drop", 2)
    by_recipient = {split_block(p.read_bytes())[0][1]: split_block(p.read_bytes())[1] for p in files}
    first = email.message_from_bytes(by_recipient["x-receiver: ann@local.example"], policy=email.policy.default)
    assert first["Subject"] == "Grüße"
    text, attachment = first.iter_parts()
    assert text.get_content().splitlines() == [".Hällo", ".", "World"]
    assert attachment.get_filename() == "table.csv"
    assert attachment.get_payload(decode=True).split() == [b"a,b", b"1,2"]
    assert by_recipient["x-receiver: bob@local.example"].rstrip().endswith(b"\r\n\r\nover the same client")


PERL = """
use Net::SMTP;
my ($port, $password, $file) = @ARGV;
my $smtp = Net::SMTP->new("127.0.0.1", Port => $port, Hello => "perl.example", Timeout => 30) or die $@;
$smtp->starttls(SSL_ca_file => $ENV{CA}) or die $smtp->message;
$smtp->auth("joe", $password) or die $smtp->message;
$smtp->mail('app@elsewhere.example') or die $smtp->message;
$smtp->recipient('ann@local.example', 'bob@local.example') or die $smtp->message;
$smtp->data or die $smtp->message;
open(my $in, "<:raw", $file) or die $!;
while (<$in>) { $smtp->datasend($_) or die $smtp->message; }
$smtp->dataend or die $smtp->message;
$smtp->quit;
"""


def test_perl(secure, mailroot, workspace):
    (workspace / "message").write_bytes(message(body=BODY))
    run(
        "perl", "-e", PERL, secure.port, PASSWORD, workspace / "message",
        env=os.environ | {"CA": str(secure.certificate)},
    )  # fmt: skip
    block, octets = stored(mailroot)
    assert block[1:] == ["x-receiver: ann@local.example", "x-receiver: bob@local.example"]
    assert octets == message(body=BODY)
