"""scikit-learn's handwritten digits: 1,797 grey pictures of 8×8 pixels, bundled with the package.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998 (CC BY 4.0).
32×32 bitmaps were summed over 4×4 blocks, hence values 0–16 and hence box resampling for what people
send. The data carry no writer's name: the same hands occur in training and test, so figures are for
new digits of known writers. Cutting the file in its order instead costs about two points of accuracy.
"""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

from training.data.images import ImageData, ImageSplit, stratified_rows

CLASS_NAMES = tuple("0123456789")
SIDE = 8  # pixels
_TEST_FRACTION = 0.2
_SPLIT_SEED = 0  # not the run's: runs with different seeds are judged on the same pictures


def read_digits() -> ImageData:
    """White on black, values 0–16 stretched to 0–255."""
    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    train, test = stratified_rows(labels, _TEST_FRACTION, _SPLIT_SEED)
    whole = ImageSplit(pixels, labels)
    return ImageData(
        name="scikit-learn-digits",
        class_names=CLASS_NAMES,
        train=whole.take(train),
        test=whole.take(test),
        sha256=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
        note=f"{_TEST_FRACTION:.0%} of each class, drawn once for all runs",
    )
