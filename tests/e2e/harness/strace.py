"""Calls of a running program that fail for a while: `strace -e inject=`."""

import shutil
import signal
import subprocess

import pytest

from .waiting import wait_for


class Strace:
    """As long as it is entered, each `call` fails with `error`, where `paths` are given only one that names one of
    them: as its file, as the folder of its file. strace attaches itself, so that the program starts and ends without
    it. Not for `write`, with which the program also wakes its own threads."""

    def __init__(self, process, log, call, error, *paths):
        if not shutil.which("strace"):
            pytest.skip("failing system calls need strace")
        self.log = log
        self.command = ["strace", "-f", "-y", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]
        for path in paths:
            self.command += ["-P", path]
        self.command += ["-p", str(process.pid)]

    def __enter__(self):
        self.strace = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        said = self.strace.stderr.readline()
        if "attached" not in said:
            self.strace.wait()
            pytest.skip(f"failing system calls need more than we may here: {said.strip()}")
        return self

    def __exit__(self, *error):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait()
        self.strace.stderr.close()

    def failed(self):
        """The calls that failed so far, as strace writes them."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if line.endswith("(INJECTED)")]

    def wait_failed(self):
        return wait_for(self.failed, f"{' '.join(map(str, self.command))} to strike")
