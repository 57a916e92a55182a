"""One measurement is one process; two sides are measured in turns, A B A B ..., and compared pair by pair."""

import json
import os
import statistics
import subprocess
import time


class Failed(Exception):
    """A process that gave no measurement; the text says why."""


def run(command, timeout, environment=None):
    """The output of a process, and how long it took."""
    start = time.perf_counter()
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {timeout} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    seconds = time.perf_counter() - start
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "rror" in line]
        raise Failed((errors or lines or [f"exit status {result.returncode}"])[-1][:200])
    return result.stdout, seconds


def measurement(command, timeout, environment=None):
    """What a timing program prints: the one line of JSON on its output."""
    output, _ = run(command, timeout, environment)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed("it printed no measurement")
    return json.loads(lines[-1])


def in_turns(ours, theirs, pairs):
    """Calls both in turns, so that a machine that drifts drifts for both."""
    return [(ours(), theirs()) for _ in range(pairs)]


def summary(processes):
    """The times of all processes of one side together, and the most memory that any had."""
    seconds = sorted(second for process in processes for second in process["seconds"])
    peaks = [process["peak_bytes"] for process in processes if process.get("peak_bytes")]

    def at(share):
        return seconds[round((len(seconds) - 1) * share)]

    return {
        "processes": len(processes),
        "n": len(seconds),
        "minimum_seconds": seconds[0],
        "median_seconds": statistics.median(seconds),
        # The middle half of all times, as a share of the median.
        "spread": (at(0.75) - at(0.25)) / statistics.median(seconds),
        "peak_bytes": max(peaks, default=None),
        "process_median_seconds": [statistics.median(process["seconds"]) for process in processes],
    }


def compare(pairs):
    """Both sides of pairs of measurements, and the ratio of each pair: the first side's median by the second's."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    ratios = [statistics.median(a["seconds"]) / statistics.median(b["seconds"]) for a, b in pairs]
    first, second = summary(first), summary(second)
    return {
        "ours": first,
        "theirs": second,
        "ratios": ratios,
        "ratio": {"minimum": min(ratios), "median": statistics.median(ratios), "maximum": max(ratios)},
        # Of the fastest times of all: what is left when others use the machine, too.
        "ratio_of_minima": first["minimum_seconds"] / second["minimum_seconds"],
    }


def scaled(process, factor):
    """A measurement of a smaller batch as if it were the whole one; of its memory that says nothing."""
    peak = process["peak_bytes"] if factor == 1 else None
    return {**process, "seconds": [second * factor for second in process["seconds"]], "peak_bytes": peak}
