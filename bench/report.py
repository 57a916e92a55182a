"""The results as they come in, as JSON and as tables of Markdown."""

import json
import sys

from measure import Failed


class Report:
    def __init__(self, facts):
        self.facts = facts
        self.versions = {}
        # Every mode's probe; ours beside a peer's fastest mode; the three of programs.py; what wasn't measured.
        self.modes, self.comparisons = [], []
        self.second_thread, self.cold_predict, self.epochs = [], [], []
        self.left_out = []

    def leave_out(self, what, why):
        self.left_out.append({"what": what, "why": why})
        print(f"  {what}: left out: {why}", file=sys.stderr)

    def attempt(self, what, kind, measure):
        """Adds what `measure` gives to the list of this name, or says why there is nothing."""
        print(f"{what} ...", file=sys.stderr)
        try:
            getattr(self, kind).append(measure())
        except Failed as failed:
            self.leave_out(what, str(failed))

    def json(self):
        kinds = ("versions", "comparisons", "modes", "second_thread", "cold_predict", "epochs", "left_out")
        return json.dumps({**self.facts, **{kind: getattr(self, kind) for kind in kinds}}, indent=2) + "\n"

    def markdown(self):
        parts = [self.heading(), self.comparison_table(), self.mode_table(), self.program_tables(), self.rest()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def heading(self):
        facts, machine = self.facts, self.facts["machine"]
        memory = f", {machine['memory_bytes'] / 2**30:.0f} GiB" if machine["memory_bytes"] else ""
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
        return (
            f"# Measurements of {facts['date']}\n\n"
            f"{machine['cpu'] or machine['machine']}, {machine['cores']} cores{memory}, {machine['system']}; "
            f"commit {machine['commit']}, {machine['rustc']}; {facts['threads']} threads, {facts['pairs']} pairs"
            f"{', quick' if facts['quick'] else ''}; "
            f"load {facts['load_before']} before, {facts['load_after']} after.\n\n"
            f"Versions: {versions}.\n\n"
            f"Instruction sets: {', '.join(machine['instruction_sets'])}; ours took {facts.get('simd')}."
        )

    def comparison_table(self):
        head = ["work", "beside", "mode", "ours", "it", "ours / it: median (least to most)", "of the minima"]
        head += ["spread", "n", "peak memory"]
        rows = []
        for entry in self.comparisons:
            ours, theirs = entry["ours"], entry["theirs"]
            rows.append([
                entry["work"], entry["peer"] + (f" ({entry['note']})" if entry.get("note") else ""), entry["mode"],
                duration(ours["median_seconds"]), duration(theirs["median_seconds"]), ratio(entry),
                number(entry["ratio_of_minima"]), f"{ours['spread']:.0%}, {theirs['spread']:.0%}",
                f"{ours['n']}, {theirs['n']}", f"{size(ours['peak_bytes'])}, {size(theirs['peak_bytes'])}",
            ])  # fmt: skip
        text = (
            "Ours beside each library's fastest mode, measured in turns, in bfloat16 where that mode is; below 1 ours takes less time. Times are "
            "medians; a spread is the middle half of the times by their median; memory is the process's peak, with its "
            "runtime."
        )
        return section("Side by side", text, head, rows)

    def mode_table(self):
        fastest = {}
        for entry in self.modes:
            if "minimum_seconds" in entry:
                key = (entry["work"], entry["peer"])
                fastest[key] = min(fastest.get(key, entry["minimum_seconds"]), entry["minimum_seconds"])
        rows = []
        for entry in self.modes:
            seconds = entry.get("minimum_seconds")
            best = seconds is not None and seconds == fastest[entry["work"], entry["peer"]]
            shown = f"failed: {entry['failed']}" if seconds is None else duration(seconds) + " (fastest)" * best
            threads = "its default" if entry.get("threads") is None else str(entry["threads"])
            median = duration(entry["median_seconds"]) if seconds else ""
            rows.append([entry["work"], entry["peer"], entry["mode"], threads if seconds else "", shown, median])
        text = "One short process a mode, to find the fastest; the comparison above is measured anew."
        return section("Every mode", text, ["work", "library", "mode", "threads", "minimum", "median"], rows)

    def program_tables(self):
        ratios = ["median (least to most)", "of the minima"]
        tables = [
            section(
                "A second thread",
                "Training steps of 64 pictures; the ratio is the speed-up.",
                ["network", "one thread", "two threads", *ratios],
                [[entry["network"], *sides(entry)] for entry in self.second_thread],
            ),
            section(
                "A cold `predict`",
                "A whole process for one picture, beside a Node that only reads the checkpoint.",
                ["network", "predict", "Node and reading", *ratios],
                [[entry["network"], *sides(entry)] for entry in self.cold_predict],
            ),
            section(
                "An epoch beside bare steps",
                "Batches of 64 made and augmented, weights published, one test picture evaluated.",
                ["network", "steps", "epoch", "as many bare steps", *ratios],
                [[entry["network"], str(entry["steps"]), *sides(entry)] for entry in self.epochs],
            ),
        ]
        return "\n\n".join(table for table in tables if table)

    def rest(self):
        lines = [f"- {entry['what']}: {entry['why']}" for entry in self.left_out]
        return "## Not measured\n\n" + ("\n".join(lines) if lines else "Nothing was left out.")


def section(title, text, head, rows):
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"## {title}\n\n{text}\n\n{table}"


def sides(entry):
    times = [duration(entry[side]["median_seconds"]) for side in ("ours", "theirs")]
    return [*times, ratio(entry), number(entry["ratio_of_minima"])]


def ratio(entry):
    values = entry["ratio"]
    return f"{number(values['median'])} ({number(values['minimum'])} to {number(values['maximum'])})"


def number(value):
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def duration(seconds):
    return f"{seconds:.3f} s" if abs(seconds) >= 0.1 else f"{seconds * 1000:.2f} ms"


def size(count):
    return "?" if count is None else f"{count / 2**20:.0f} MiB"
