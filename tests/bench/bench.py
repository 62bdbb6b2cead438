"""bench.py [RUNS] [WORKLOAD...]: prints figures beside what they are measured against, and judges none."""

import signal
import sys

import dead
import flows
import idle
import intake
import link
import many
import sessions
import standing
import waiting

WORKLOADS = {
    "flows": flows.measure,
    "standing": standing.measure,
    "standing-million": standing.measure_million,
    "idle": idle.measure,
    "intake": intake.measure,
    "waiting": waiting.measure,
    "sessions": sessions.measure,
    "link": link.measure,
    "many": many.measure,
    "dead": dead.measure,
    "dead-silent": dead.measure_silent,
}
ONLY_WHEN_NAMED = {"standing-million", "dead-silent"}


def main():
    arguments = sys.argv[1:]
    runs = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 5
    names = arguments or [name for name in WORKLOADS if name not in ONLY_WHEN_NAMED]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown or runs < 1:
        sys.exit(f"usage: tests/bench/run [RUNS] [{'|'.join(WORKLOADS)}]...")
    # Asked to end, it still unmounts and ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in names:
        WORKLOADS[name](runs)


main()
