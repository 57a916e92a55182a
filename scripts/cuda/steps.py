#!/usr/bin/env python3
"""What a training step of this project takes on a card, and each of its kernels: for whoever changes them, in seconds.

    python3 scripts/cuda/steps.py [--networks unpadded,cifar,v2-cifar,v3-small-cifar] [--batches 64,1024]
        [--precisions bfloat16,tf32] [--graphs strict,in-turn,0] [--no-kernels] [--window 0.2] [--out FILE.json]

A step is the median of three windows, for each value of MOBILENET_NATIVE_CUDA_GRAPHS. A kernel's time is that of 20 launches one
after the other, of all its launches in a step together (MOBILENET_NATIVE_CUDA_TIMES); weights' gradients, which a step computes
beside the rest, are among them.
"""

import datetime
import json
import os
import pathlib
import statistics
import subprocess

from bench import ROOT, Ours, calibrated, lists_of, parser_of


def step_of(network, batch, precision, graphs, window):
    side = Ours("train", network, batch, precision, {"MOBILENET_NATIVE_CUDA_GRAPHS": graphs})
    count = calibrated(side, window)
    microseconds = sorted(side.seconds(count) / count * 1e6 for _ in range(3))
    side.close()
    return {"network": network, "precision": precision, "batch": batch, "graphs": graphs,
            "step_microseconds": round(statistics.median(microseconds)), "least": round(microseconds[0]),
            "most": round(microseconds[-1]), "pictures_per_second": round(batch / statistics.median(microseconds) * 1e6),
            "card_mebibytes": side.about["bytes"] >> 20, "card": side.about["card"]}


def kernels_of(network, batch, precision):
    environment = os.environ | {"MOBILENET_NATIVE_CUDA_TIMES": "1"}
    command = [str(ROOT / "target/cuda-card/steps"), "train", network, str(batch), precision]
    said = subprocess.run(command, input="1\n", capture_output=True, text=True, env=environment, check=True).stderr
    kernels = {}
    for line in said.splitlines():
        name, _, rest = line.partition("\t")
        if not rest:
            continue
        kernel = kernels.setdefault(name, {"launches": 0, "microseconds": 0.0})
        kernel["launches"] += 1
        kernel["microseconds"] += float(rest.split(" us")[0])
    for kernel in kernels.values():
        kernel["microseconds"] = round(kernel["microseconds"], 1)
    return dict(sorted(kernels.items(), key=lambda one: -one[1]["microseconds"]))


def driver():
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--graphs", default="strict,in-turn,0")
    parser.add_argument("--no-kernels", action="store_true", help="steps alone")
    parser.add_argument("--window", type=float, default=0.2, help="seconds")
    parser.add_argument("--out", default=str(ROOT / "target/cuda-card/steps.json"))
    arguments = parser.parse_args()
    networks, batches, precisions, graphs = lists_of(arguments, ["networks", "batches", "precisions", "graphs"]).values()
    result = {"driver": driver(), "date": datetime.date.today().isoformat(), "steps": [], "kernels": {}}

    def keep():
        # After each, so that what was measured stays when time runs out.
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")

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
    for network, batch, precision in [] if arguments.no_kernels else combinations:
        kernels = kernels_of(network, batch, precision)
        result["kernels"][f"{network} {batch} {precision}"] = kernels
        keep()
        total = sum(kernel["microseconds"] for kernel in kernels.values())
        print(f"{network} {batch} {precision}: {total:.0f} us in {sum(k['launches'] for k in kernels.values())} launches")
        for name, kernel in list(kernels.items())[:12]:
            print(f"  {name:44}{kernel['launches']:>4}{kernel['microseconds']:>10.1f}")


if __name__ == "__main__":
    main()
