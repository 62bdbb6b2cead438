"""A users' file, a certificate, and what speaks of them."""

import base64
import hashlib
import hmac
import subprocess

PASSWORD = "correct horse"


def sha512(password=PASSWORD):
    made = subprocess.run(["openssl", "passwd", "-6", password], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def scram(password=PASSWORD, iterations=4096, salt=b"0123456789abcdef"):
    """RFC 5803: what SCRAM-SHA-256 keeps of a password."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored_key, server_key = (base64.b64encode(x).decode() for x in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{salt}${stored_key}:{server_key}"


def write_users(folder, **hashes):
    """A file of these; the path of it."""
    path = folder / "users"
    path.write_text("".join(f"{name}:{hash}\n" for name, hash in hashes.items()))
    return path


class Certificate:
    """Signed by itself, for `name`. `under` is a command that runs another, at another time perhaps."""

    def __init__(
        self,
        folder,
        name="mail.local.example",
        kind=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        under=(),
    ):
        folder.mkdir(exist_ok=True)
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(
            [*under, "openssl", "req", "-x509", "-nodes", *kind, "-keyout", self.key, "-out", self.certificate,
             "-days", "365", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip

    @property
    def settings(self):
        return {"certificate": str(self.certificate), "key": str(self.key)}
