"""An OAuth2 token endpoint that answers as a test tells it to, and remembers what it was asked."""

import base64
import http.server
import json
import ssl
import threading
import urllib.parse
from dataclasses import dataclass

from .accounts import Certificate


@dataclass
class Asked:
    form: dict
    client: str  # `id:secret` of HTTP Basic, or nothing


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        client = base64.b64decode(credentials).decode() if scheme == "Basic" else ""
        endpoint = self.server.endpoint
        endpoint.asked.append(Asked(dict(urllib.parse.parse_qsl(body)), client))
        status, answer = endpoint.answer()
        octets = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_):
        pass


class TokenEndpoint:
    """`answer` is a function that gives status and body; it may be changed while the endpoint runs."""

    def __init__(self, folder, answer=None):
        self.certificate = Certificate(folder, name="localhost")
        self.answer = answer or self.next_token
        self.asked = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.endpoint = self
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/token"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def next_token(self, **more):
        """`token1`, `token2`, each good for an hour."""
        return 200, {"access_token": f"token{len(self.asked)}", "token_type": "Bearer", "expires_in": 3600} | more

    def stop(self):
        """Once is enough."""
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()
