"""The time of day that a program believes in."""

import shutil
import subprocess

import pytest


def with_clock(file, steady=True):
    """A command that runs another whose time of day is what `file` says; it waits by the true clock, but where that
    is not `steady`: then a wait is over when the time has passed that `file` says."""
    if not shutil.which("faketime"):
        pytest.skip("setting the clock of one program needs faketime")
    # Not under faketime itself, which would stand between us and the program's process.
    ask = ["faketime", "-m", "now", "printenv", "LD_PRELOAD"]
    library = subprocess.run(ask, capture_output=True, check=True, text=True).stdout.strip()
    # When the time of waiting jumps, those of the files must not: they would pass for written to.
    clocks = ["FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKE_UTIME=1"] if steady else ["NO_FAKE_STAT=1"]
    return [
        "env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={file}", "FAKETIME_NO_CACHE=1",
        *clocks, "ASAN_OPTIONS=verify_asan_link_order=0",
    ]  # fmt: skip


def set_clock(file, offset):
    draft = file.with_suffix(".draft")
    draft.write_text(offset)
    draft.rename(file)
