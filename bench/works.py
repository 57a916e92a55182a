"""What is measured: a row a work. A new network is a new row."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    kind: str  # `train` or `evaluate`
    network: str  # `cifar` is V1's layout of that name; `v2-cifar`.
    batch: int
    steps: int  # In one process.
    quick: bool = True  # Whether `--quick` does it, too.

    @property
    def variant(self):
        return self.network.rpartition("-")[0] or "v1"

    @property
    def layout(self):
        return self.network.rpartition("-")[2]

    @property
    def name(self):
        doing = "training step" if self.kind == "train" else "inference"
        side = 224 if self.layout == "imagenet" else 32
        pictures = "one picture" if self.batch == 1 else f"{self.batch} pictures"
        return f"{doing}, {self.variant.upper()} {self.layout}, {pictures} of {side}x{side}"

    @property
    def key(self):
        return f"{self.kind}-{self.network}-{self.batch}"


WORKS = [
    Work("train", "unpadded", 64, steps=5, quick=False),
    Work("train", "cifar", 64, steps=10),
    Work("train", "v2-cifar", 64, steps=10, quick=False),
    Work("train", "v3-small-cifar", 64, steps=10, quick=False),
    Work("train", "v3-large-cifar", 64, steps=10, quick=False),
    Work("evaluate", "unpadded", 64, steps=10, quick=False),
    Work("evaluate", "cifar", 64, steps=30),
    Work("evaluate", "v2-cifar", 64, steps=20, quick=False),
    Work("evaluate", "v3-small-cifar", 64, steps=30, quick=False),
    Work("evaluate", "v3-large-cifar", 64, steps=20, quick=False),
    Work("evaluate", "imagenet", 64, steps=5, quick=False),
    Work("evaluate", "unpadded", 1, steps=100, quick=False),
    Work("evaluate", "cifar", 1, steps=300),
    Work("evaluate", "v2-cifar", 1, steps=200, quick=False),
    Work("evaluate", "v3-small-cifar", 1, steps=300, quick=False),
    Work("evaluate", "imagenet", 1, steps=50),
    Work("evaluate", "v2-imagenet", 1, steps=50, quick=False),
    Work("evaluate", "v3-small-imagenet", 1, steps=100, quick=False),
]
