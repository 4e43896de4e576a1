"""Figures of merit of segmenters, from the pixels that classes share. Plain numpy.

Intersection over union is taken of all pictures together, class by class, and then averaged, as Pascal VOC
does it: a class that is rare in one picture is not judged by a handful of its pixels.

Letters: N pictures, K classes, H height and W width in pixels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.masked_pictures import IGNORED

Array = NDArray[Any]


def shared_pixels(truth: Array, given: Array, classes: int) -> Array:
    """Int [K, 3] of one mask [H, W]: pixels of the class that were found, that there are, and that were
    claimed; pixels of which nothing is known are left out."""
    known = truth != IGNORED
    truth, given = truth[known], given[known]
    counts = (truth[truth == given], truth, given)
    return np.stack([np.bincount(each, minlength=classes) for each in counts], axis=1)


def class_iou(shared: Array) -> Array:
    """Float [K] from counts [N, K, 3]; NaN for classes that neither occur nor were claimed."""
    found, true, claimed = shared.sum(axis=0, dtype=np.int64).T
    union = true + claimed - found
    return np.where(union > 0, found / np.maximum(union, 1), np.nan)


def mean_iou(shared: Array) -> float:
    """0 where there is no class to judge."""
    values = class_iou(shared)
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def pixel_accuracy(shared: Array) -> float:
    """Share of the known pixels that have the right class."""
    found, true, _ = shared.sum(axis=(0, 1), dtype=np.int64)
    return float(found / max(1, int(true)))
