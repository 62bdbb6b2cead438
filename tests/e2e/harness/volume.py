"""A file system of its own in a loop-mounted image, whose power can be cut."""

import os
import shutil
import subprocess

import pytest

# Room for all that a long loop leaves in Drop; the image is sparse.
SIZE = 2 << 30


class Volume:
    """As mkfs makes it, mounted at `path`. `kind` is ext4 or xfs."""

    def __init__(self, folder, kind):
        if os.geteuid() != 0:
            pytest.skip("to mount an image needs root")
        for tool in (f"mkfs.{kind}", "xfs_io", "losetup"):
            if not shutil.which(tool):
                pytest.skip(f"the power cut needs {tool}")
        folder.mkdir()
        self.kind, self.image, self.path = kind, folder / "image", folder / "mounted"
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(SIZE)
        run(f"mkfs.{kind}", "-q", self.image)
        self.mounted = False
        try:
            self.mount()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no image can be mounted here: {error.stderr.strip()}")

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)
        self.mounted = True

    def sync(self):
        run("sync", "-f", self.path)

    def cut(self, flush_log=False):
        """From now on nothing reaches the disk, and all that asks is told EIO. What the journal had not written is
        gone, unless `flush_log` lets it write that first."""
        run("xfs_io", "-x", "-c", "shutdown -f" if flush_log else "shutdown", self.path)

    def remount(self):
        """The power is back. Nobody may have a file open here any more."""
        run("umount", self.path)
        self.mounted = False
        self.mount()

    def close(self):
        """Also where a test failed and somebody still works here."""
        if self.mounted:
            run("umount", "--lazy", self.path)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)
