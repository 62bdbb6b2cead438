"""A SOCKS5 proxy (RFC 1928, RFC 1929) that remembers what it was asked for."""

import select
import socket
import socketserver
import struct
import threading

NO_LOGIN, BY_PASSWORD, NOTHING_FITS = 0, 2, 255


class Socks(socketserver.ThreadingTCPServer):
    """`asked` are the hosts and ports that it connected to. With `login`, a user and a password, nobody else is let
    in; `logins` are those that were tried."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address, port, login=None):
        super().__init__((address, port), Session)
        self.url = f"socks5://{address}:{port}"
        self.login, self.asked, self.logins = login, [], []
        self.thread = threading.Thread(target=self.serve_forever, args=[0.02])
        self.thread.start()

    def leave(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that hangs up is no error of ours."""


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        if not self.admit():
            return
        _, _, _, kind = self.rfile.read(4)
        family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        host = socket.inet_ntop(family, self.rfile.read(length))
        (port,) = struct.unpack("!H", self.rfile.read(2))
        self.server.asked.append((host, port))
        try:
            there = socket.create_connection((host, port))
        except ConnectionRefusedError:
            self.answer(5)
            return
        with there:
            self.answer(0)
            self.relay(there)

    def admit(self):
        methods = self.rfile.read(self.rfile.read(2)[1])
        wanted = BY_PASSWORD if self.server.login else NO_LOGIN
        if wanted not in methods:
            self.wfile.write(bytes([5, NOTHING_FITS]))
            return False
        self.wfile.write(bytes([5, wanted]))
        return wanted == NO_LOGIN or self.logs_in()

    def logs_in(self):
        user = self.rfile.read(self.rfile.read(2)[1]).decode()
        password = self.rfile.read(self.rfile.read(1)[0]).decode()
        self.server.logins.append((user, password))
        right = (user, password) == self.server.login
        self.wfile.write(bytes([1, 0 if right else 1]))
        return right

    def answer(self, code):
        self.wfile.write(bytes([5, code, 0, 1, *bytes(6)]))

    def relay(self, there):
        """Until one of them hangs up."""
        other = {self.connection: there, there: self.connection}
        while True:
            for one in select.select(list(other), [], [])[0]:
                octets = one.recv(65536)
                if not octets:
                    return
                other[one].sendall(octets)
