"""An SMTP server that answers as a test tells it to, and remembers what it was sent."""

import base64
import hmac
from dataclasses import dataclass, field

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, SMTP, AuthResult


@dataclass
class Taken:
    sender: str
    recipients: list
    content: bytes
    options: list = field(default_factory=list)
    encrypted: bool = False


class PatientSMTP(SMTP):
    """Lets lines through that are longer than SMTP has them: real writers send such."""

    line_length_limit = 1 << 20


class Scripted(Controller):
    """Replies by command. `refuse` maps a recipient to the reply to its RCPT; `on_mail` and `on_data`
    are replies too, `hang_up` names a command (`RCPT`, `DATA`) after which the connection is dropped
    without a word. All may be changed while it runs. `tls` is an ssl.SSLContext for STARTTLS."""

    def __init__(self, address, port, refuse=None, on_mail=None, on_data=None, hang_up=None, tls=None):
        self.tls = tls
        self.refuse, self.on_mail, self.on_data = dict(refuse or {}), on_mail, on_data
        self.hang_up = hang_up
        self.taken, self.attempts = [], []
        super().__init__(self, hostname=address, port=port)
        self.start()

    def factory(self):
        return PatientSMTP(self, enable_SMTPUTF8=True, ident="scripted", timeout=60, tls_context=self.tls)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.on_mail:
            return self.on_mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return f"250 2.1.0 {address}"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.attempts.append(address)
        if self.hang_up == "RCPT":
            server.transport.abort()
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return f"250 2.1.5 {address}"

    async def handle_DATA(self, server, session, envelope):
        if self.hang_up == "DATA":
            server.transport.abort()
        if self.on_data:
            return self.on_data
        self.taken.append(
            Taken(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                envelope.content,
                list(envelope.mail_options),
                server.session.ssl is not None,
            )
        )
        return "250 2.0.0 taken"

    def recipients(self):
        return [recipient for taken in self.taken for recipient in taken.recipients]

    def leave(self):
        """Stops answering at all; once is enough."""
        if self.loop.is_running():
            self.stop()


MECHANISMS = {"PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"}


class LoginHost(Scripted):
    """One that takes mail from those alone who log in, by one of `mechanisms`. `secrets` are the passwords and
    tokens that it knows by user, and may be changed; `logins` is who tried: mechanism, user and secret. `hang_up` may be `AUTH`, behind PLAIN."""

    def __init__(self, address, port, secrets, mechanisms=MECHANISMS, **how):
        self.secrets, self.mechanisms, self.logins = dict(secrets), mechanisms, []
        super().__init__(address, port, **how)

    def factory(self):
        return PatientSMTP(
            self, enable_SMTPUTF8=True, ident="scripted", timeout=60, tls_context=self.tls, auth_required=True,
            auth_require_tls=self.tls is not None, auth_exclude_mechanism=MECHANISMS - set(self.mechanisms),
        )  # fmt: skip

    def judge(self, mechanism, user, secret, good=None):
        self.logins.append((mechanism, user, secret))
        good = self.secrets.get(user) == secret if good is None else good
        # As some do, it repeats what it was shown.
        return AuthResult(
            success=good, handled=False, message=None if good else f"535 5.7.8 {user} is not known by {secret}"
        )

    async def auth_PLAIN(self, server, args):
        octets = await server.challenge_auth("") if len(args) == 1 else decoded(args[1])
        if self.hang_up == "AUTH":
            server.transport.abort()
        _, user, secret = octets.decode().split("\0")
        return self.judge("PLAIN", user, secret)

    async def auth_LOGIN(self, server, args):
        user = await server.challenge_auth("Username:") if len(args) == 1 else decoded(args[1])
        secret = await server.challenge_auth("Password:")
        return self.judge("LOGIN", user.decode(), secret.decode())

    async def auth_CRAM__MD5(self, server, args):
        challenge = "<1896.697170952@scripted>"
        user, digest = (await server.challenge_auth(challenge)).decode().split(" ")
        wanted = hmac.new(self.secrets[user].encode(), challenge.encode(), "md5").hexdigest()
        return self.judge("CRAM-MD5", user, digest, good=digest == wanted)

    async def auth_XOAUTH2(self, server, args):
        octets = await server.challenge_auth("") if len(args) == 1 else decoded(args[1])
        user, bearer = octets.decode().rstrip("\x01").split("\x01")
        return await self.judge_token(server, "XOAUTH2", user.removeprefix("user="), bearer)

    async def auth_OAUTHBEARER(self, server, args):
        octets = await server.challenge_auth("") if len(args) == 1 else decoded(args[1])
        header, *fields = octets.decode().rstrip("\x01").split("\x01")
        return await self.judge_token(server, "OAUTHBEARER", header.split(",")[1].removeprefix("a="), fields[-1])

    async def judge_token(self, server, mechanism, user, bearer):
        """A token that is refused has its reason in a challenge of its own (RFC 7628 3.2.2)."""
        result = self.judge(mechanism, user, bearer.removeprefix("auth=Bearer "))
        if not result.success and await server.challenge_auth('{"status":"401"}') is MISSING:
            result.handled = True
        return result


def decoded(text):
    return base64.b64decode(text)
