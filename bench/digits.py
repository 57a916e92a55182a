"""Makes a folder of pictures of the handwritten digits that scikit-learn ships: 1797 of 8x8 grey pixels, ten classes.

    python bench/digits.py FOLDER

Needs scikit-learn (its `load_digits` is the test part of UCI's "Optical Recognition of Handwritten Digits", CC BY 4.0) and
pillow. The first 1347 become `train/`, the others `test/`.
"""

import pathlib
import sys

from PIL import Image
from sklearn.datasets import load_digits

TRAINING = 1347


def main():
    folder = pathlib.Path(sys.argv[1])
    digits = load_digits()
    for place, (pixels, label) in enumerate(zip(digits.images, digits.target)):
        target = folder / ("train" if place < TRAINING else "test") / str(label)
        target.mkdir(parents=True, exist_ok=True)
        # 0 to 16, written light on dark.
        Image.fromarray((pixels * 255 / 16).round().astype("uint8")).save(target / f"{place:04}.png")
    print(f"{len(digits.images)} pictures in {folder}")


if __name__ == "__main__":
    main()
