#!/usr/bin/env python3
"""Times PyTorch's training steps and evaluation batches of one network.

    python bench/pytorch_step.py unpadded|cifar [batch] [threads] [steps] [nchw|channels_last]

Prints one JSON object a line, in the shape of `cargo run --release --example step`.
"""
import json, sys, time
import torch
from torch import nn
import torch.nn.functional as F

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def network(layout):
    padded = layout == "cifar"
    padding = int(padded)
    layers = [nn.Conv2d(3, 32, 3, 1, padding, bias=not padded)] + [nn.BatchNorm2d(32)] * padded + [nn.ReLU(inplace=True)]
    channels = 32
    for outputs, stride in BLOCKS:
        layers += [
            nn.Conv2d(channels, channels, 3, stride if padded else 1, padding, groups=channels, bias=False),
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
        ]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def main():
    def argument(index, default):
        return type(default)(sys.argv[index]) if len(sys.argv) > index else default

    layout, batch, threads, steps = argument(1, "unpadded"), argument(2, 64), argument(3, 2), argument(4, 5)
    memory_format = argument(5, "channels_last")
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    model, x, y = network(layout), torch.randn(batch, 3, 32, 32), torch.arange(batch) % 10
    if memory_format == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def train():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def evaluate():
        with torch.inference_mode():
            model(x)

    for work, step, mode in (("train", train, True), ("evaluate", evaluate, False)):
        model.train(mode)
        step()
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        seconds.sort()
        print(json.dumps({"work": work, "batch": batch, "threads": threads, "mode": memory_format,
                          "torch": torch.__version__, "n": steps, "minimum": round(seconds[0], 6),
                          "median": round(seconds[len(seconds) // 2], 6)}), flush=True)


if __name__ == "__main__":
    main()
