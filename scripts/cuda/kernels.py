#!/usr/bin/env python3
"""How far each kernel of a training step is from the card's limits, by NVIDIA's Nsight Compute (`ncu`).

    python3 scripts/cuda/kernels.py [NETWORK] [BATCH] [float32|tf32|bfloat16]

Every kernel is launched by itself, without a graph. Prints a line a kernel: its launches, their time together, and weighted by
time the share of what the card's memory, its L2 cache and its multiprocessors could do.
"""

import csv
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIME, BYTES = "gpu__time_duration.sum", "dram__bytes.sum"
SHARES = {
    "memory": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "L2": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
    "SM": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
}


def measured(network, batch, precision):
    """The rows of ncu's table, a launch each."""
    # The card's clocks stay as they are: their setting may be forbidden.
    command = ["ncu", "--csv", "--page", "raw", "--print-units", "base", "--clock-control", "none",
               "--metrics", ",".join([TIME, BYTES, *SHARES.values()]),
               str(ROOT / "target/cuda-card/steps"), "train", network, batch, precision]
    environment = os.environ | {"MOBILENET_NATIVE_CUDA_GRAPHS": "0"}
    ended = subprocess.run(command, input="1\n", capture_output=True, text=True, env=environment)
    lines = ended.stdout.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        raise SystemExit(f"ncu gave no table (status {ended.returncode}):\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    # Behind the names comes a row of units, which has no ID.
    return [row for row in csv.DictReader(lines[start:]) if row["ID"]]


def number(text):
    return float(text.replace(",", "") or 0)


def main():
    network, batch, precision = (sys.argv[1:] + ["unpadded", "64", "bfloat16"][len(sys.argv) - 1:])[:3]
    kernels = {}
    for row in measured(network, batch, precision):
        kernel = kernels.setdefault(row["Kernel Name"].split("(")[0], {"launches": 0, "ns": 0, "bytes": 0, **dict.fromkeys(SHARES, 0)})
        nanoseconds = number(row[TIME])
        kernel["launches"] += 1
        kernel["ns"] += nanoseconds
        kernel["bytes"] += number(row[BYTES])
        for share, metric in SHARES.items():
            kernel[share] += number(row[metric]) * nanoseconds
    total = sum(kernel["ns"] for kernel in kernels.values())
    print(f"{network} {precision} batch {batch}: {total / 1e3:.0f} us in {sum(k['launches'] for k in kernels.values())} launches")
    print(f"{'kernel':44}{'launches':>9}{'us':>9}{'of all':>8}{'GB/s':>7}" + "".join(f"{share:>8}" for share in SHARES))
    for name, kernel in sorted(kernels.items(), key=lambda one: -one[1]["ns"]):
        shares = "".join(f"{kernel[share] / kernel['ns']:7.0f}%" for share in SHARES)
        print(f"{name:44}{kernel['launches']:9}{kernel['ns'] / 1e3:9.1f}{kernel['ns'] / total:8.1%}"
              f"{kernel['bytes'] / kernel['ns']:7.0f}{shares}")


if __name__ == "__main__":
    main()
