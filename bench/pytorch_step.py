#!/usr/bin/env python3
"""Times PyTorch's training steps or evaluation batches of one network in one of its modes.

    python bench/pytorch_step.py train|evaluate NETWORK BATCH THREADS STEPS MODE

A mode is `eager|compile/nchw|channels_last/float32|bfloat16`, bfloat16 by autocast. Prints one JSON object, in the
shape of `cargo run --release --example step`.
"""

import contextlib
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

from pytorch_network import network, resolution

WARM_UP = 2


def main():
    work, name, batch, threads, steps, mode = sys.argv[1:]
    batch, threads, steps = int(batch), int(threads), int(steps)
    execution, memory_format, precision = mode.split("/")
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    side = resolution(name)
    model, x, y = network(name), torch.randn(batch, 3, side, side), torch.arange(batch) % 10
    if memory_format == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    # The fused one is the fastest of PyTorch's three.
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    run = torch.compile(model) if execution == "compile" else model

    def autocast():
        return torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()

    def train():
        optimizer.zero_grad()
        with autocast():
            loss = F.cross_entropy(run(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    def evaluate():
        with torch.inference_mode(), autocast():
            run(x)

    model.train(work == "train")
    step = train if work == "train" else evaluate
    seconds = []
    for index in range(WARM_UP + steps):
        start = time.perf_counter()
        step()
        if index >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    # Kilobytes, but bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    versions = {"torch": torch.__version__, "torch's instruction set": torch.backends.cpu.get_cpu_capability()}
    print(json.dumps({"seconds": seconds, "threads": threads, "peak_bytes": peak, "versions": versions}))


if __name__ == "__main__":
    main()
