"""scikit-learn's handwritten digits: 1,797 grey pictures of 8×8 pixels, bundled with the package.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998 (CC BY 4.0).
32×32 bitmaps were summed over 4×4 blocks, hence values 0–16 and hence box resampling for what people
send. The test split is the last 20 % of each class: the rows come writer by writer, so those writers
are mostly others than the ones learned from.
"""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

from training.data.images import ImageData, ImageSplit

CLASS_NAMES = tuple("0123456789")
SIDE = 8  # pixels
_TEST_FRACTION = 0.2


def read_digits() -> ImageData:
    """White on black, values 0–16 stretched to 0–255."""
    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    test = np.sort(np.concatenate([_last_rows(labels, label) for label in range(10)]))
    train = np.setdiff1d(np.arange(len(labels)), test)
    whole = ImageSplit(pixels, labels)
    digest = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    return ImageData(
        name="scikit-learn-digits",
        class_names=CLASS_NAMES,
        train=whole.take(train),
        test=whole.take(test),
        sha256=digest,
        note="test: the last 20 % of each class, mostly other writers",
    )


def _last_rows(labels: np.ndarray, label: int) -> np.ndarray:
    rows = np.flatnonzero(labels == label)
    return rows[len(rows) - round(_TEST_FRACTION * len(rows)) :]
