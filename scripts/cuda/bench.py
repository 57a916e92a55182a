#!/usr/bin/env python3
"""Training steps and evaluation of this project and of PyTorch on one card, in turns.

    python3 scripts/cuda/bench.py [--networks unpadded,cifar,v2-cifar,v3-small-cifar] [--batches 64,1024]
        [--precisions bfloat16,tf32] [--works train,evaluate] [--rounds 7] [--window 0.5] [--modes compiled,graph,max-autotune]
        [--jobs 8] [--compile-seconds 250] [--seconds 550] [--out FILE.json]

PyTorch runs in its best mode, of those in --modes the faster one: channels_last, autocast to bfloat16 or TF32, fused Adam, its
pictures on the card, where they are cropped, flipped and normalised. `compiled`: torch.compile as it is, and the whole step,
optimizer included, recorded as one CUDA graph. `graph`: the same, tuned by torch.compile's max-autotune-no-cudagraphs, which takes
minutes for each network. `max-autotune`: torch.compile's mode of that name, which records graphs itself.
A round is a window of steps of each, one after the other; what is told is the median of the rounds' ratios.

PyTorch takes about a minute to compile a network, and with max-autotune several: so all are first compiled by --jobs processes side
by side, of which its caches remain. What tunes itself meanwhile is disturbed by the others; --jobs 1 leaves that out. What is not
compiled after --compile-seconds, and what is not begun after --seconds, is left out and told: where a card is there for minutes,
that leaves the first of the list, which are training steps in bfloat16.
"""

import argparse
import concurrent.futures
import gc
import itertools
import json
import math
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Pictures that this project evaluates at once at most (crates/cuda/src/backend.rs).
MOST_EVALUATED = 512
sys.path.insert(0, str(ROOT / "bench"))


class Ours:
    """The program of this project, which does as many steps as it is told."""

    def __init__(self, work, network, batch, precision, environment=None):
        command = [str(ROOT / "target/cuda-card/steps"), work, network, str(batch), precision]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | (environment or {}))
        self.about = self.answer()
        self.batch = self.about["batch"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"steps ended with {self.process.wait()}")
        return json.loads(line)

    def asked(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def seconds(self, steps):
        return self.asked(steps)["seconds"]

    def bits(self):
        """A checksum of what was trained so far."""
        return self.asked("bits")["bits"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class PyTorch:
    """The same network and step in PyTorch."""

    def __init__(self, work, name, batch, precision, mode, compile_only=False):
        import torch
        import torch.nn.functional as F
        from pytorch_network import classes, network, resolution

        self.torch, self.batch = torch, batch
        # A function is compiled anew for each network, and after eight times no more.
        torch._dynamo.reset()
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(0)
        side, count = resolution(name), 8192
        model = network(name).cuda().to(memory_format=torch.channels_last)
        model.train(work == "train")
        pictures = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, device="cuda")
        labels = torch.arange(count, device="cuda") % classes(name)
        mean = torch.tensor([0.485, 0.456, 0.406], device="cuda") * 255
        std = torch.tensor([0.229, 0.224, 0.225], device="cuda") * 255
        indices = torch.zeros(batch, dtype=torch.long, device="cuda")
        autocast = dict(device_type="cuda", dtype=torch.bfloat16, enabled=precision == "bfloat16")

        def prepared():
            rows = torch.arange(side, device="cuda")
            top, left = (torch.randint(0, 9, (batch, 1), device="cuda") - 4 for _ in range(2))
            flip = torch.randint(0, 2, (batch, 1), device="cuda", dtype=torch.bool)
            y, x = rows + top, torch.where(flip, side - 1 - rows, rows) + left
            inside = ((y >= 0) & (y < side))[:, :, None] & ((x >= 0) & (x < side))[:, None, :]
            taken = pictures[indices[:, None, None], y.clamp(0, side - 1)[:, :, None], x.clamp(0, side - 1)[:, None, :]]
            values = (taken * inside[..., None] - mean) / std
            return values.permute(0, 3, 1, 2), labels[indices]

        def loss_of(input, target):
            with torch.autocast(**autocast):
                return F.cross_entropy(model(input), target)

        def answer(input, _):
            with torch.no_grad(), torch.autocast(**autocast):
                return model(input)

        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True, capturable=True)
        kind = {"compiled": "default", "graph": "max-autotune-no-cudagraphs", "max-autotune": "max-autotune"}[mode]
        prepare = torch.compile(prepared)
        run = torch.compile(loss_of if work == "train" else answer, mode=kind)

        def step():
            input, target = prepare()
            value = run(input, target)
            if work == "train":
                value.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=mode == "max-autotune")

        self.choose = lambda: indices.copy_(torch.randint(0, count, (batch,)), non_blocking=True)
        # Compiles, and lets a graph's memory settle.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(1 if compile_only else 5):
                self.choose()
                step()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        if compile_only:
            return
        self.step = step
        if mode != "max-autotune":
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            self.step = graph.replay
        torch.cuda.synchronize()
        self.peak_bytes = torch.cuda.max_memory_allocated()

    def seconds(self, steps):
        self.torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            self.choose()
            self.step()
        self.torch.cuda.synchronize()
        return time.perf_counter() - start


def calibrated(side, window):
    """Steps that take about a window; they warm up as well."""
    side.seconds(10)
    steps = 10
    while (seconds := side.seconds(steps)) < window / 2:
        steps *= 2
    return max(1, round(steps * window / seconds))


def compare(work, network, batch, precision, modes, rounds, window, missing):
    ours = Ours(work, network, batch, precision)
    sides = {}
    for mode in modes:
        if (work, network, batch, precision, mode) in missing:
            print(f"  PyTorch {mode} is left out: it was not compiled in time", flush=True)
            continue
        try:
            sides[mode] = PyTorch(work, network, ours.batch, precision, mode)
        except Exception as error:  # A mode that PyTorch can't do here is left out, and told.
            print(f"  PyTorch {mode} is left out: {type(error).__name__}: {str(error)[:200]}", flush=True)
    counts = {side: calibrated(side, window) for side in [ours, *sides.values()]}
    rates = {name: [] for name in ["ours", *sides]}
    for _ in range(rounds):
        for name, side in [("ours", ours), *sides.items()]:
            rates[name].append(counts[side] * ours.batch / side.seconds(counts[side]))
    ours.close()
    result = {
        "work": work, "network": network, "batch": ours.batch, "precision": precision, "card": ours.about["card"],
        "bytes": ours.about["bytes"], "torch_bytes": {mode: side.peak_bytes for mode, side in sides.items()},
        "pictures_per_second": rates,
    }
    medians = {name: statistics.median(values) for name, values in rates.items()}
    if sides:
        best = max(sides, key=medians.get)
        ratios = [a / b for a, b in zip(rates["ours"], rates[best])]
        result |= {"best": best, "ratio": statistics.median(ratios), "ratios": [min(ratios), max(ratios)]}
    spread = ", ".join(f"{name} {round(value):,}" for name, value in medians.items())
    print(f"{work} {network} {precision} batch {ours.batch}: {spread} pictures/s; "
          f"{result.get('ratio', float('nan')):.2f} times PyTorch", flush=True)
    return result


def works_of(lists):
    """What is measured, in that order."""
    works = itertools.product(*(lists[name] for name in ("works", "precisions", "networks", "batches")))
    capped = [(work, precision, network, min(int(batch), MOST_EVALUATED if work == "evaluate" else sys.maxsize))
              for work, precision, network, batch in works]
    return list(dict.fromkeys(capped))


def compile_all(lists, jobs, seconds):
    """Fills PyTorch's caches; gives those that took too long. What fails here is told when it is measured."""
    end = time.perf_counter() + seconds
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": str(threads)}

    def compiled(work):
        # Its own group of processes, since PyTorch's compiler starts some that outlive it when it is killed.
        command = [sys.executable, __file__, "--compile", ",".join(map(str, work))]
        left = end - time.perf_counter()
        if left <= 0:
            return False
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        try:
            process.wait(left)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        return True

    works = [(work, network, batch, precision, mode) for work, precision, network, batch in works_of(lists)
             for mode in lists["modes"]]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return {work for work, done in zip(works, pool.map(compiled, works)) if not done}


def parser_of(description):
    """With what this script and steps.py both measure."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="unpadded,cifar,v2-cifar,v3-small-cifar")
    parser.add_argument("--batches", default="64,1024")
    parser.add_argument("--precisions", default="bfloat16,tf32")
    return parser


def lists_of(arguments, names):
    """Options of several values, by their names."""
    return {name: [one for one in getattr(arguments, name).split(",") if one] for name in names}


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--works", default="train,evaluate")
    parser.add_argument("--modes", default="compiled,graph,max-autotune", help="empty: this project alone")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--window", type=float, default=0.5, help="seconds of a side in a round")
    parser.add_argument("--jobs", type=int, default=8, help="processes that compile PyTorch's networks first")
    parser.add_argument("--compile-seconds", type=float, default=math.inf, help="for all of them (default: no limit)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after so many nothing is begun (default: no limit)")
    parser.add_argument("--compile", help=argparse.SUPPRESS)
    parser.add_argument("--out", default=str(ROOT / "target/cuda-card/bench.json"))
    arguments = parser.parse_args()
    if arguments.compile:
        work, network, batch, precision, mode = arguments.compile.split(",")
        PyTorch(work, network, int(batch), precision, mode, compile_only=True)
        return
    begun = time.perf_counter()
    lists = lists_of(arguments, ["works", "networks", "batches", "precisions", "modes"])
    versions, missing = {"python": sys.version.split()[0]}, set()
    if lists["modes"]:
        import torch

        versions |= {"torch": torch.__version__, "cuda": torch.version.cuda, "gpu": torch.cuda.get_device_name()}
        if arguments.jobs > 1:
            missing = compile_all(lists, arguments.jobs, arguments.compile_seconds)
            print(f"PyTorch's networks were compiled in {time.perf_counter() - begun:.0f} s; {len(missing)} were not, in that time",
                  flush=True)
    results, left_out = [], []
    for work, precision, network, batch in works_of(lists):
        if time.perf_counter() - begun > arguments.seconds:
            left_out.append(f"{work} {network} {precision} batch {batch}")
            continue
        results.append(compare(work, network, batch, precision, lists["modes"], arguments.rounds, arguments.window, missing))
        if lists["modes"]:
            # What PyTorch held for one network is not there for the next.
            gc.collect()
            torch.cuda.empty_cache()
        # After each, so that what was measured stays when time runs out.
        pathlib.Path(arguments.out).write_text(json.dumps({"versions": versions, "results": results}, indent=1))
    if left_out:
        print(f"left out for want of time: {'; '.join(left_out)}", flush=True)


if __name__ == "__main__":
    main()
