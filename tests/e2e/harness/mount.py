"""File systems that a test may fill, freeze or take away. What was mounted is unmounted, also when the test fails."""

import contextlib
import os
import subprocess

import pytest

from .waiting import wait_for


class Mount:
    """Something that lies at `folder` between mount() and unmount(); `how` are mount's arguments."""

    def __init__(self, folder, *how):
        self.folder, self.how = folder, how

    def mount(self):
        run("mount", *self.how, self.folder)

    def unmount(self):
        """At once, whoever works there: they keep what they have open, and the path shows what was below."""
        run("umount", "--lazy", self.folder)

    def remount(self, mode):
        """`ro` or `rw`; refused as long as a file is open for writing, and so asked again."""
        command = ["mount", "-o", f"remount,{mode}", self.folder]

        def remounted():
            return subprocess.run(command, check=False, capture_output=True).returncode == 0

        wait_for(remounted, f"{self.folder} to be {mode}")

    def fill(self):
        """Leaves no room for another octet; gives the file that has to go for some."""
        ballast = self.folder / "ballast"
        with open(ballast, "ab", buffering=0) as file:
            for portion in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * portion)
        return ballast

    @contextlib.contextmanager
    def mounted(self):
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        tried = subprocess.run(["mount", *self.how, self.folder], check=False, capture_output=True, text=True)
        if tried.returncode != 0:
            pytest.skip(f"mounting needs more than we may here: {tried.stderr.strip()}")
        try:
            yield self
        finally:
            if os.path.ismount(self.folder):
                self.unmount()


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def tmpfs(folder, size="4m"):
    return Mount(folder, "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs").mounted()


def bind(folder, source):
    """What lies in `source`, in `folder` too."""
    return Mount(folder, "--bind", source).mounted()


def ext4(folder, image, size="16M"):
    """The loop device goes with the last user of the file system."""
    run("truncate", "--size", size, image)
    run("mkfs.ext4", "-q", "-m", "0", image)
    return Mount(folder, "-o", "loop", image).mounted()
