#!/usr/bin/env python3
"""Measures ours beside PyTorch, ONNX Runtime, TensorFlow.js and plain candle, in pairs: see bench/README.md.

    python bench/compare.py [--quick] [--python /path/to/python/with/torch]

Needs nothing but Python's standard library itself; a library that isn't installed is named in the result.
"""

import argparse
import datetime
import pathlib
import subprocess
import sys
import tempfile

import machine
from measure import Failed, compare, in_turns, summary
from peers import PEERS, ROOT, Ours
from programs import measure_programs
from report import Report
from works import WORKS

RESULTS = ROOT / "bench/results"
PROBE_STEPS = 3


class Setup:
    """What was asked for, and where files may lie while it runs."""

    def __init__(self, args, folder, versions):
        self.python, self.quick, self.threads, self.timeout = args.python, args.quick, args.threads, args.timeout
        self.pairs = args.pairs
        self.folder = pathlib.Path(folder)
        self.versions = versions

    def steps(self, work):
        return max(2, work.steps // 4) if self.quick else work.steps

    def note_versions(self, result):
        self.versions.update(result.get("versions", {}))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer works, pairs and steps: minutes, and rough")
    parser.add_argument("--python", default=sys.executable, help="the Python that has PyTorch (default: this one)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, help="of each comparison (default: 7, quick 2)")
    parser.add_argument("--timeout", type=int, help="seconds for one process (default: 1800, quick 600)")
    parser.add_argument("--works", help=f"comma-separated, of {', '.join(work.key for work in WORKS)}")
    parser.add_argument("--peers", help=f"comma-separated, of {', '.join(peer.__name__ for peer in PEERS)}, or -")
    parser.add_argument("--name", help="of the files in bench/results (default: the date)")
    parser.add_argument("--no-build", action="store_true", help="take the examples as they lie in target/release")
    args = parser.parse_args()
    args.pairs = args.pairs or (2 if args.quick else 7)
    args.timeout = args.timeout or (600 if args.quick else 1800)
    names = {"works": {work.key for work in WORKS}, "peers": {peer.__name__ for peer in PEERS} | {"-"}}
    for option, known in names.items():
        chosen = getattr(args, option)
        wrong = set(chosen.split(",")) - known if chosen else set()
        if wrong:
            parser.error(f"--{option}: there is no {', '.join(sorted(wrong))}")
    return args


def probe(setup, peer, work, report):
    """The least time of each of a peer's modes that works: in a short process, what others disturb the least."""
    times = {}
    for mode in peer.modes:
        entry = {"work": work.name, "peer": peer.name, "mode": mode}
        try:
            result = peer.measure(work, mode, max(PROBE_STEPS, setup.steps(work) // 3))
            setup.note_versions(result)
            entry |= {"threads": result.get("threads"), **summary([result])}
            times[mode] = entry["minimum_seconds"]
        except Failed as failed:
            entry["failed"] = str(failed)
        report.modes.append(entry)
        print(f"  {peer.name} {mode}: {entry.get('minimum_seconds') or entry['failed']}", file=sys.stderr)
    return times


def measure(setup, ours, peer, work, report):
    """Ours beside the peer's fastest mode; a peer with a single mode has no need to be probed."""
    times = probe(setup, peer, work, report) if len(peer.modes) > 1 else {peer.modes[0]: 0.0}
    if not times:
        report.leave_out(f"{work.name}, {peer.name}", "none of its modes works; see above")
        return
    steps, pairs = setup.steps(work), min(setup.pairs, peer.most_pairs or setup.pairs)
    for mode in peer.winners(times):
        try:
            ours_mode = peer.precision(mode)
            results = in_turns(
                lambda: ours.measure(work, ours_mode, steps), lambda: peer.measure(work, mode, steps), pairs
            )
        except Failed as failed:
            report.leave_out(f"{work.name}, {peer.name} {mode}".strip(), str(failed))
            continue
        report.facts["simd"] = results[0][0]["simd"]
        last = results[-1][1]
        setup.note_versions(last)
        entry = {"work": work.name, "key": work.key, "peer": peer.name, "mode": mode, "note": last.get("note")}
        entry["our_precision"] = ours_mode
        report.comparisons.append({**entry, "steps": steps, **compare(results)})
        median = report.comparisons[-1]["ratio"]["median"]
        print(f"  ours / {peer.name} {mode}: {median:.3f}", file=sys.stderr)


def main():
    args = arguments()
    if not args.no_build:
        examples = ["--example", "step", "--example", "stock_candle"]
        subprocess.run(["cargo", "build", "--release", "-p", "mobilenet-core", *examples], cwd=ROOT, check=True)
    chosen_works = args.works.split(",") if args.works else None
    chosen_peers = args.peers.split(",") if args.peers else None
    works = [work for work in WORKS if work.key in chosen_works] if chosen_works else WORKS
    if args.quick and not chosen_works:
        works = [work for work in works if work.quick]
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    facts = {"date": date, "quick": args.quick, "threads": args.threads, "pairs": args.pairs}
    report = Report({**facts, "machine": machine.describe(), "load_before": machine.load(), "load_after": None})
    name = args.name or ("quick-" if args.quick else "") + date.replace(" UTC", "").replace(" ", "-").replace(":", "")
    RESULTS.mkdir(exist_ok=True)

    def save():
        report.facts["load_after"] = machine.load()
        (RESULTS / f"{name}.json").write_text(report.json())
        (RESULTS / f"{name}.md").write_text(report.markdown())

    with tempfile.TemporaryDirectory(prefix="mobilenet-bench-") as folder:
        setup = Setup(args, folder, report.versions)
        ours, peers = Ours(setup), []
        for peer in (kind(setup) for kind in PEERS):
            missing = "not asked for" if chosen_peers and type(peer).__name__ not in chosen_peers else peer.missing()
            if missing:
                report.leave_out(peer.name, missing)
            else:
                peers.append(peer)
        for skipped in (work for work in WORKS if work not in works):
            report.leave_out(skipped.name, "not asked for" if chosen_works else "not in a quick run")
        for work in works:
            print(f"{work.name} ...", file=sys.stderr)
            for peer in peers:
                if peer.does(work):
                    measure(setup, ours, peer, work, report)
                    # Saved again and again, so that an end half-way loses little.
                    save()
        measure_programs(setup, works, report)
        save()
    print(report.markdown())
    print(f"Written to bench/results/{name}.md and {name}.json", file=sys.stderr)


if __name__ == "__main__":
    main()
