"""The program under test, in a root of its own."""

import json
import os
import pathlib
import re
import signal
import smtplib
import subprocess
import threading

from .waiting import wait_for

PROGRAM = os.environ.get("MAILROOT_PROGRAM") or str(
    pathlib.Path(__file__).resolve().parents[3] / "build/mailroot"
)

LOCAL = "local.example"

# Nothing leaves loopback: the resolver's port answers nobody until a test names a real one.
SETTINGS = {
    "hostname": "mail.local.example",
    "domains": {"default": LOCAL},
    "dns": {"servers": ["127.0.0.1:1"], "timeout": "500ms"},
    "pickup": {"rescan": "200ms", "settle": "300ms"},
}


class Serve:
    """A running `mailroot serve`. Its lines on stderr are in `said`. `under` is a command that runs the program in
    its own place: `faketime -2h`."""

    def __init__(self, mailroot, *arguments, under=()):
        self.process = subprocess.Popen(
            [*under, PROGRAM, "--root", mailroot.root, "serve", "--listen", "127.0.0.1:0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.said = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = int(wait_for(self._port, "serve to be ready"))
        self.server = f"127.0.0.1:{self.port}"

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            print("serve:", line, end="")

    def _port(self):
        ready = "mailroot: ready" in self.said
        assert ready or self.process.poll() is None, f"serve ended with {self.process.returncode}"
        return ready and re.search(r"listening on 127\.0\.0\.1:(\d+)", "\n".join(self.said)).group(1)

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example", timeout=60)

    def stop(self):
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self.reader.join()
        return code

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def running(self):
        return self.process.poll() is None


class Mailroot:
    """`settings` are laid over SETTINGS, group by group."""

    def __init__(self, root, settings):
        self.root = root
        self.root.mkdir(mode=0o755, exist_ok=True)
        self.settings = {name: dict(v) if isinstance(v, dict) else v for name, v in SETTINGS.items()}
        self.serving = []
        self.configure(**settings)

    def configure(self, **settings):
        for name, value in settings.items():
            if isinstance(value, dict):
                self.settings.setdefault(name, {}).update(value)
            else:
                self.settings[name] = value
        (self.root / "mailroot.json").write_text(json.dumps(self.settings, indent=2))

    def create(self):
        """The folders, which only serve and send make by themselves."""
        for name in ("Pickup", "Queue", "Drop", "Badmail"):
            self.folder(name).mkdir(mode=0o700)
        return self

    def folder(self, name):
        return self.root / name

    def serve(self, *arguments, under=()):
        serve = Serve(self, *arguments, under=under)
        self.serving.append(serve)
        return serve

    def run(self, *arguments, **options):
        """One command to its end; exit code, stdout and stderr are the caller's to judge."""
        return subprocess.run(
            [PROGRAM, "--root", self.root, *map(str, arguments)],
            capture_output=True,
            timeout=120,
            check=False,
            **({"text": True} | options),
        )

    def report(self, command, *arguments):
        """A command's --json."""
        done = self.run(command, "--json", *arguments)
        assert done.stdout, f"{command} ended with {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def submit(self, name, content):
        """Puts a file into Pickup as a careful writer does: whole, under its name at once."""
        self.folder("Pickup").mkdir(exist_ok=True)
        draft = self.root / f".draft-{name}"
        draft.write_bytes(content)
        draft.rename(self.folder("Pickup") / name)

    def files(self, folder, pattern="*"):
        """What an administrator sees there: no dot-files."""
        return sorted(p for p in self.folder(folder).glob(pattern) if not p.name.startswith("."))

    def wait_files(self, folder, count=1, pattern="*.eml", seconds=30):
        """Waits until so many are there, then gives them."""
        wait_for(
            lambda: len(self.files(folder, pattern)) >= count,
            f"{count} {pattern} in {folder}",
            seconds,
        )
        found = self.files(folder, pattern)
        assert len(found) == count, [p.name for p in found]
        return found

    def wait_idle(self, seconds=60):
        """Nothing left to take or to send."""
        wait_for(
            lambda: not self.files("Pickup") and not self.files("Queue"),
            "Pickup and Queue to be empty",
            seconds,
        )

    def wait_handed_over(self, seconds=60):
        """What a crash left ready is shown."""
        wait_for(lambda: not self.files("Drop", ".*.ready"), "no ready file in Drop", seconds)

    def close(self):
        for serve in self.serving:
            if serve.running():
                serve.kill()
