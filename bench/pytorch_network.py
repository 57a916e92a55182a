"""The same networks in PyTorch: V1 in this project's three layouts, V2 and V3 from torchvision in two."""

from torch import nn

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
# torchvision's name of a variant, and the block that keeps its pixels in layout `cifar`.
TORCHVISION = {"v2": ("mobilenet_v2", 2), "v3-large": ("mobilenet_v3_large", 2), "v3-small": ("mobilenet_v3_small", 1)}


def split(name):
    """`cifar` is V1's; `v2-cifar`."""
    variant, _, layout = name.rpartition("-")
    return variant or "v1", layout


def resolution(name):
    return 224 if split(name)[1] == "imagenet" else 32


def classes(name):
    return 1000 if split(name)[1] == "imagenet" else 10


def network(name):
    variant, layout = split(name)
    return v1(name, layout) if variant == "v1" else later(name, variant, layout)


def later(name, variant, layout):
    import torchvision

    function, unstrided = TORCHVISION[variant]
    model = getattr(torchvision.models, function)(num_classes=classes(name))
    if layout == "cifar":
        convolutions = [model.features[0][0]]
        convolutions += [m for m in model.features[unstrided].modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
        for convolution in convolutions:
            convolution.stride = (1, 1)
    return model


def v1(name, layout):
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
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes(name)))
