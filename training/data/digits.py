"""scikit-learn's handwritten digits: 1,797 grey pictures of 8×8 pixels, bundled with the package.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998 (CC BY 4.0).
32×32 bitmaps were summed over 4×4 blocks, hence values 0–16 and hence box resampling for what people
send. The test split is the last 20 % of each class: the rows come writer by writer, so those writers
are mostly others than the ones learned from.
"""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

from training.data.images import ImageData, ImageSplit, Labels

CLASS_NAMES = tuple("0123456789")
SIDE = 8  # pixels
_TEST_FRACTION = _VALIDATION_FRACTION = 0.15


def read_digits() -> ImageData:
    """White on black, values 0–16 stretched to 0–255."""
    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    train, validation, test = _in_order(labels)
    whole = ImageSplit(pixels, labels)
    return ImageData(
        name="scikit-learn-digits",
        class_names=CLASS_NAMES,
        train=whole.take(train),
        validation=whole.take(validation),
        test=whole.take(test),
        sha256=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
        note=f"the last {_TEST_FRACTION:.0%} of each class in file order",
    )


def _in_order(labels: Labels) -> list[Labels]:
    """Rows of train, validation and test: each class is cut twice, without shuffling."""
    parts: list[list[Labels]] = [[], [], []]
    for label in range(len(CLASS_NAMES)):
        rows = np.flatnonzero(labels == label)
        ends = np.cumsum([1 - _TEST_FRACTION - _VALIDATION_FRACTION, _VALIDATION_FRACTION])
        for part, chunk in zip(
            parts, np.split(rows, np.round(ends * len(rows)).astype(int)), strict=True
        ):
            part.append(chunk)
    return [np.sort(np.concatenate(part)) for part in parts]
