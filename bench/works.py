"""What is measured: a row a work. A new variant or layout is a new row."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    kind: str  # `train` or `evaluate`
    layout: str
    batch: int
    steps: int  # In one process.
    quick: bool = True  # Whether `--quick` does it, too.

    @property
    def name(self):
        doing = "training step" if self.kind == "train" else "inference"
        side = 224 if self.layout == "imagenet" else 32
        pictures = "one picture" if self.batch == 1 else f"{self.batch} pictures"
        return f"{doing}, V1 {self.layout}, {pictures} of {side}x{side}"

    @property
    def key(self):
        return f"{self.kind}-{self.layout}-{self.batch}"


WORKS = [
    Work("train", "unpadded", 64, steps=5, quick=False),
    Work("train", "cifar", 64, steps=10),
    Work("evaluate", "unpadded", 64, steps=10, quick=False),
    Work("evaluate", "cifar", 64, steps=30),
    Work("evaluate", "imagenet", 64, steps=5, quick=False),
    Work("evaluate", "unpadded", 1, steps=100, quick=False),
    Work("evaluate", "cifar", 1, steps=300),
    Work("evaluate", "imagenet", 1, steps=50),
]
