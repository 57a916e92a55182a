#!/usr/bin/env python3
"""Our training step and evaluation beside PyTorch's, in pairs: A B A B ..., with the ratio of each pair.

    pip install torch
    cargo build --release -p mobilenet-core --example step
    python bench/compare.py [--layout unpadded|cifar] [--pairs 3] [--threads 2] [--batch 64] [--steps 5]

PyTorch runs in eager mode with channels_last, its faster memory format for this network. A ratio below 1 means that
ours takes less time. Ratios of pairs hold when the machine's speed drifts; single times don't.
"""
import argparse, json, pathlib, platform, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(command):
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {result["work"]: result for result in map(json.loads, lines)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layout", choices=["unpadded", "cifar"], default="unpadded")
    for name, default in (("pairs", 3), ("threads", 2), ("batch", 64), ("steps", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    numbers = [str(args.batch), str(args.threads), str(args.steps)]
    ours = [str(ROOT / "target/release/examples/step"), args.layout, *numbers]
    torch = [sys.executable, str(ROOT / "bench/pytorch_step.py"), args.layout, *numbers, "channels_last"]
    pairs = [(run(ours), run(torch)) for _ in range(args.pairs)]
    first_ours, first_torch = (side["train"] for side in pairs[0])
    print(f"{platform.machine()}, {first_ours['simd']}, {args.threads} threads, torch {first_torch['torch']}, "
          f"V1 {args.layout}, batch {args.batch}, {args.pairs} pairs of {args.steps} steps\n")
    print("| work | ours, s (median) | PyTorch, s (median) | ours / PyTorch: median (least to most) |\n|---|---|---|---|")
    for work in ("train", "evaluate"):
        times = [(ours[work]["median"], torch[work]["median"]) for ours, torch in pairs]
        ratios = sorted(a / b for a, b in times)
        middle = [statistics.median(side) for side in zip(*times)]
        print(f"| {work} | {middle[0]:.3f} | {middle[1]:.3f} | "
              f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")


if __name__ == "__main__":
    main()
