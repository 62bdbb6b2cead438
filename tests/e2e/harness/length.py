"""How long the loops run."""

import os


def length(short, full):
    """`full` where the environment asks for it, with MAILROOT_TESTS=full; else `short`."""
    return full if os.environ.get("MAILROOT_TESTS") == "full" else short
