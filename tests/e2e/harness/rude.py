"""An SMTP server that knows how to behave, and forgets it where a test says so."""

import socket
import socketserver
import struct
import threading

from .scripted import Taken

# In place of a reply.
HANG_UP = "hangs up"
RESET = "resets the connection"
SILENCE = "says nothing more"


class Rude(socketserver.ThreadingTCPServer):
    """Keeps the order of commands as RFC 5321 has it, line by line. `says` maps a command (or `greeting`, or `end` for
    the end of a message, or `amid` for its first line) to what it says there in place of its usual reply: a text, one
    of the above, or a function of the session that gives one, or None for the usual. It may be changed while the
    server runs. `offers` are the EHLO keywords; None is a host that knows HELO alone."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, port, offers=(), says=None):
        super().__init__((address, port), Session)
        self.offers, self.says = offers, dict(says or {})
        self.taken, self.commands = [], []
        self.connections, self.open, self.counting = 0, 0, threading.Lock()
        self.left = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, args=[0.02])
        self.thread.start()

    def leave(self):
        self.left.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def count(self, connections, open_ones):
        with self.counting:
            self.connections += connections
            self.open += open_ones

    def handle_error(self, request, client_address):
        """A client that hangs up is no error of ours."""


def once(reply, times=1, after=0):
    """Says it the first time, or so many times, only; or after it was asked so often."""
    left = [reply] * times + [None] * after
    return lambda session: left.pop() if left else None


class Over(Exception):
    """The session is."""


class Session(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        self.server.count(1, 1)
        try:
            self.converse()
        except (Over, OSError):
            pass
        finally:
            self.server.count(0, -1)

    def converse(self):
        self.sender, self.recipients, self.options = None, [], []
        self.reply("greeting", "220 host.example at your service")
        for line in self.rfile:
            verb, _, argument = line.decode(errors="replace").strip().partition(" ")
            self.server.commands.append(verb)
            answer = getattr(self, "on_" + verb.lower(), None)
            if answer:
                answer(argument)
            else:
                self.say("500 5.5.2 what?")

    def words(self, command, usual):
        """What to say to it; hangs up here where that is asked for."""
        told = self.server.says.get(command)
        words = (told(self) if callable(told) else told) or usual
        if words == SILENCE:
            self.server.left.wait()
        if words in (SILENCE, HANG_UP):
            self.hang_up()
        if words == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            raise Over
        return words

    def say(self, words):
        self.wfile.write(words.encode() + b"\r\n")
        if words.startswith("421"):
            self.hang_up()

    def reply(self, command, usual):
        """Gives whether it is a yes."""
        words = self.words(command, usual)
        self.say(words)
        return words.startswith("2")

    def hang_up(self):
        """What the client has sent is read: a reset would take from it what we have said."""
        self.connection.shutdown(socket.SHUT_WR)
        while self.rfile.read1(65536):
            pass
        raise Over

    def on_ehlo(self, argument):
        if self.server.offers is None:
            return self.say("502 5.5.1 never heard of it")
        lines = ["host.example", *self.server.offers]
        usual = "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])
        return self.reply("EHLO", usual)

    def on_helo(self, argument):
        self.reply("HELO", "250 host.example")

    def on_mail(self, argument):
        if self.sender is not None:
            self.say("503 5.5.1 there is one already")
        elif self.reply("MAIL", "250 2.1.0 go on"):
            self.sender, *self.options = argument.removeprefix("FROM:").split()

    def on_rcpt(self, argument):
        if self.sender is None:
            return self.say("503 5.5.1 MAIL first")
        self.recipient = argument.removeprefix("TO:<").partition(">")[0]
        if self.reply("RCPT", "250 2.1.5 go on"):
            self.recipients.append(self.recipient)

    def on_rset(self, argument):
        self.forget()
        self.reply("RSET", "250 2.0.0 forgotten")

    def on_quit(self, argument):
        self.say("221 2.0.0 bye")
        raise Over

    def on_data(self, argument):
        if not self.recipients:
            return self.say("503 5.5.1 RCPT first")
        words = self.words("DATA", "354 go on")
        self.say(words)
        if words.startswith("354"):
            self.take(b"".join(self.lines()))

    def lines(self):
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise Over
            if line.endswith(b"\r\n") and "amid" in self.server.says:
                self.interrupt()
            yield line.removeprefix(b".")

    def on_bdat(self, argument):
        size, *last = argument.split()
        assert last == ["LAST"], "we send one chunk"
        if "amid" in self.server.says:
            self.rfile.read(100)
            self.interrupt()
        content = self.rfile.read(int(size))
        if len(content) < int(size):
            raise Over
        if self.recipients:
            self.take(content)
        else:
            self.say("503 5.5.1 RCPT first")

    def interrupt(self):
        """Says it, and no more."""
        words = self.words("amid", None)
        if words:
            self.say(words)
            self.hang_up()

    def take(self, content):
        """Taken over is what is answered for."""
        words = self.words("end", "250 2.6.0 taken")
        if words.startswith("2"):
            self.server.taken.append(Taken(self.sender.strip("<>"), self.recipients, content, self.options))
        self.forget()
        self.say(words)

    def forget(self):
        self.sender, self.recipients, self.options = None, [], []
