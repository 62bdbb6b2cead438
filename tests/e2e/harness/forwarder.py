"""A name server in front of nsd that counts the questions, and is as bad as the Internet's where a test says so."""

import socket
import socketserver
import threading
from collections import Counter

TYPES = {1: "A", 15: "MX", 28: "AAAA"}
SERVFAIL, TRUNCATED = 2, 0x0200


def question_of(message):
    """Its name and type, and where it ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode().lower())
        at += 1 + message[at]
    kind = int.from_bytes(message[at + 1 : at + 3], "big")
    return ".".join(labels), TYPES.get(kind, kind), at + 5


def empty_answer(message, flags):
    """RFC 1035 4.1.1: the question alone, as a response (QR) with recursion available (RA)."""
    end = question_of(message)[2]
    flags |= int.from_bytes(message[2:4], "big") | 0x8080
    return message[:2] + flags.to_bytes(2, "big") + b"\0\1" + bytes(6) + message[12:end]


class Forwarder:
    """`failing` names get SERVFAIL, `silent` ones no answer; `truncating` says over UDP of all that it is too long.
    `asked` counts (name, type), `over_tcp` those that came that way."""

    def __init__(self, loopback, nsd):
        self.nsd = (nsd.address, nsd.port)
        self.failing, self.silent, self.truncating = set(), set(), False
        self.asked, self.over_tcp = Counter(), Counter()
        address = (loopback.host(2), loopback.free_port())
        self.server = "{}:{}".format(*address)
        self.listeners = [
            socketserver.ThreadingUDPServer(address, OverUdp),
            socketserver.ThreadingTCPServer(address, OverTcp),
        ]
        for listener in self.listeners:
            listener.forwarder = self
        self.threads = [threading.Thread(target=each.serve_forever, args=[0.02]) for each in self.listeners]
        for thread in self.threads:
            thread.start()

    def stop(self):
        for listener in self.listeners:
            listener.shutdown()
            listener.server_close()
        for thread in self.threads:
            thread.join()

    def answer(self, message, over_tcp):
        """None: there is none."""
        name, kind, _ = question_of(message)
        (self.over_tcp if over_tcp else self.asked)[name, kind] += 1
        if name in self.silent:
            return None
        if name in self.failing:
            return empty_answer(message, SERVFAIL)
        if self.truncating and not over_tcp:
            return empty_answer(message, TRUNCATED)
        return self.ask_over_tcp(message) if over_tcp else self.ask_over_udp(message)

    def ask_over_udp(self, message):
        with socket.socket(type=socket.SOCK_DGRAM) as nsd:
            nsd.settimeout(5)
            nsd.sendto(message, self.nsd)
            return nsd.recv(65535)

    def ask_over_tcp(self, message):
        with socket.create_connection(self.nsd, timeout=5) as nsd, nsd.makefile("rb") as answers:
            nsd.sendall(len(message).to_bytes(2, "big") + message)
            return read_message(answers)


def read_message(stream):
    """RFC 1035 4.2.2; empty at the end."""
    return stream.read(int.from_bytes(stream.read(2), "big"))


class OverUdp(socketserver.BaseRequestHandler):
    def handle(self):
        message, listener = self.request
        answer = self.server.forwarder.answer(message, over_tcp=False)
        if answer:
            listener.sendto(answer, self.client_address)


class OverTcp(socketserver.StreamRequestHandler):
    def handle(self):
        while message := read_message(self.rfile):
            answer = self.server.forwarder.answer(message, over_tcp=True)
            if answer:
                self.wfile.write(len(answer).to_bytes(2, "big") + answer)
