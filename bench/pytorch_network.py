"""MobileNet V1 in PyTorch, in this project's three layouts."""

from torch import nn

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def resolution(layout):
    return 224 if layout == "imagenet" else 32


def classes(layout):
    return 1000 if layout == "imagenet" else 10


def network(layout):
    padded = layout != "unpadded"
    padding = int(padded)
    stem = nn.Conv2d(3, 32, 3, 2 if layout == "imagenet" else 1, padding, bias=not padded)
    layers = [stem] + [nn.BatchNorm2d(32)] * padded + [nn.ReLU(inplace=True)]
    channels = 32
    for outputs, stride in BLOCKS:
        stride = stride if padded else 1
        layers += [
            nn.Conv2d(channels, channels, 3, stride, padding, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes(layout)))
