#!/usr/bin/env python3
"""What a training step of this project takes on a card, and each of its kernels: for whoever changes them, in seconds.

    python3 scripts/cuda/steps.py [--networks unpadded,cifar,v2-cifar,v3-small-cifar] [--batches 64,1024]
        [--precisions bfloat16,tf32] [--graphs strict,strict-forward,in-turn,0] [--no-kernels] [--window 0.2] [--out FILE.json]

A step is the median of three windows, for each value of MOBILENET_NATIVE_CUDA_GRAPHS; after a hundred steps all of them must have
the same bits. A kernel's time is that of 20 launches one
after the other, of all its launches in a step together (MOBILENET_NATIVE_CUDA_TIMES); weights' gradients, which a step computes
beside the rest, are among them.

Beside its time stands how far a kernel is from the card's limits: the bytes that it must move at least and the multiply-adds of its
layers, each as a share of what the card could do in that time, tensor cores for products in TF32 and bfloat16. Maps that stay in the
L2 cache may bring the share of memory above 100 %. A kernel's floor is the longer of the two times that its bytes and its
multiply-adds take at these limits.
"""

import datetime
import json
import math
import os
import pathlib
import statistics
import subprocess

from bench import ROOT, Ours, calibrated, lists_of, parser_of

# Steps after which the bits of the ways in which a step can be recorded are compared.
COMPARED = 100


def step_of(network, batch, precision, graphs, window):
    side = Ours("train", network, batch, precision, {"MOBILENET_NATIVE_CUDA_GRAPHS": graphs})
    side.seconds(COMPARED)
    bits = side.bits()
    count = calibrated(side, window)
    microseconds = sorted(side.seconds(count) / count * 1e6 for _ in range(3))
    side.close()
    return {"network": network, "precision": precision, "batch": batch, "graphs": graphs, "bits": bits,
            "step_microseconds": round(statistics.median(microseconds)), "least": round(microseconds[0]),
            "most": round(microseconds[-1]), "pictures_per_second": round(batch / statistics.median(microseconds) * 1e6),
            "card_mebibytes": side.about["bytes"] >> 20, "card": side.about["card"]}


def kernels_of(network, batch, precision):
    """Of each kernel in a step, by its name: launches, microseconds, what it works, and the card's limits."""
    environment = os.environ | {"MOBILENET_NATIVE_CUDA_TIMES": "1"}
    command = [str(ROOT / "target/cuda-card/steps"), "train", network, str(batch), precision]
    ended = subprocess.run(command, input="1\n", capture_output=True, text=True, env=environment, check=True)
    peak = json.loads(ended.stdout.splitlines()[0])["peak"]
    kernels = {}
    for line in ended.stderr.splitlines():
        fields = line.split("\t")
        if len(fields) != 6:
            continue
        name, (microseconds, count, multiply_adds) = fields[0], map(float, fields[1:4])
        rate = peak["multiply_adds"][unit_of(name)]
        kernel = kernels.setdefault(name, {"launches": 0, "microseconds": 0, "bytes": 0, "multiply_adds": 0, "floor_microseconds": 0})
        kernel["launches"] += 1
        kernel["microseconds"] += microseconds
        kernel["bytes"] += count
        kernel["multiply_adds"] += multiply_adds
        if peak["bytes"] and (rate or not multiply_adds):
            kernel["floor_microseconds"] += 1e6 * max(count / peak["bytes"], multiply_adds / rate if multiply_adds else 0)
        else:
            kernel["floor_microseconds"] = math.nan
    for name, kernel in kernels.items():
        seconds, rate = kernel["microseconds"] / 1e6, peak["multiply_adds"][unit_of(name)]
        kernel["of_memory"] = round(kernel["bytes"] / seconds / peak["bytes"], 3) if peak["bytes"] else None
        kernel["of_multiply_adds"] = round(kernel["multiply_adds"] / seconds / rate, 3) if rate else None
        floor = kernel["floor_microseconds"]
        kernel["floor_microseconds"] = None if math.isnan(floor) else round(floor, 1)
        kernel["microseconds"] = round(kernel["microseconds"], 1)
    return dict(sorted(kernels.items(), key=lambda one: -one[1]["microseconds"]))


def unit_of(kernel):
    """What multiplies in it: tensor cores in products alone."""
    for unit, ending in {"tf32": "_tf32", "bfloat16": "_bf16"}.items():
        if kernel.startswith(("product_", "pooled_")) and ending in kernel:
            return unit
    return "float32"


def tell(kernels):
    """The kernels as a table."""
    print(f"  {'kernel':42}{'launches':>8}{'us':>9}{'floor':>9}{'MB':>9}{'memory':>8}{'GFLOP':>9}{'of peak':>8}")
    for name, kernel in kernels.items():
        floor = kernel["floor_microseconds"]
        print(f"  {name:42}{kernel['launches']:>8}{kernel['microseconds']:>9.1f}{'-' if floor is None else f'{floor:.1f}':>9}"
              f"{kernel['bytes'] / 1e6:>9.1f}{share(kernel['of_memory']):>8}{kernel['multiply_adds'] * 2 / 1e9:>9.2f}"
              f"{share(kernel['of_multiply_adds'] or None):>8}")


def share(value):
    return "-" if value is None else f"{value:.0%}"


def driver():
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--graphs", default="strict,strict-forward,in-turn,0")
    parser.add_argument("--no-kernels", action="store_true", help="steps alone")
    parser.add_argument("--window", type=float, default=0.2, help="seconds")
    parser.add_argument("--out", default=str(ROOT / "target/cuda-card/steps.json"))
    arguments = parser.parse_args()
    networks, batches, precisions, graphs = lists_of(arguments, ["networks", "batches", "precisions", "graphs"]).values()
    result = {"driver": driver(), "date": datetime.date.today().isoformat(), "steps": [], "kernels": {}}

    def keep():
        # After each, so that what was measured stays when time runs out.
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")

    different = []
    combinations = [(n, int(b), p) for n in networks for p in precisions for b in batches]
    for combination in combinations:
        for how in graphs:
            try:
                step = step_of(*combination, how, arguments.window)
            except (SystemExit, BrokenPipeError) as error:  # Told; the others are measured all the same.
                print(f"{combination} with graphs {how}: {error}", flush=True)
                continue
            result["steps"].append(step)
            print(f"{step['network']} {step['precision']} {step['batch']} {how}: {step['step_microseconds']} us a step, "
                  f"{step['pictures_per_second']:,} pictures/s", flush=True)
            keep()
        bits = {step["bits"] for step in result["steps"] if (step["network"], step["batch"], step["precision"]) == combination}
        if len(bits) > 1:
            # Nothing else differs than what waits for what.
            different.append(combination)
            print(f"{combination}: DIFFERENT BITS after {COMPARED} steps: a wait is missing", flush=True)
    for network, batch, precision in [] if arguments.no_kernels else combinations:
        kernels = kernels_of(network, batch, precision)
        result["kernels"][f"{network} {batch} {precision}"] = kernels
        keep()
        total, floors = (sum(kernel[key] or 0 for kernel in kernels.values()) for key in ("microseconds", "floor_microseconds"))
        print(f"{network} {batch} {precision}: {total:.0f} us in {sum(k['launches'] for k in kernels.values())} launches, "
              f"{floors:.0f} us at the card's limits")
        tell(kernels)
    if different:
        raise SystemExit(f"the ways to record a step gave different bits: {different}")


if __name__ == "__main__":
    main()
