"""An SMTP server that answers as a test tells it to, and remembers what it was sent."""

from dataclasses import dataclass, field

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


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
