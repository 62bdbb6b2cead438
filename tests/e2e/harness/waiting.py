"""Waiting for what is bound to happen."""

import time


def wait_for(predicate, what, seconds=20):
    """Asks until the answer is true, and gives it. Fails with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        answer = predicate()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
