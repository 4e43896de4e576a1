"""Average precision of detectors, by COCO's rules, in plain numpy.

A detection is right when it overlaps an object of its class, that no better one has taken, by at least the
threshold. Precision is read at 101 recalls, after it has been made to fall (Lin et al. 2014,
arXiv:1405.0312). Detections in crowds count neither way.

Letters: N pictures, D detections of all pictures, K classes, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ConfidenceInterval
from models.transforms.detection import Objects, coverage, iou

Array = NDArray[Any]

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Truth:
    """Objects of one picture: boxes [m, 4], labels [m], and which of them are crowds, bool [m]."""

    boxes: Array
    labels: Array
    crowds: Array


@dataclass(frozen=True)
class Matches:
    """All detections, best first: `picture` and `label` int [D], `is_right` and `is_ignored` bool [T, D];
    `objects` int [N, K], how many there are to be found."""

    picture: Array
    label: Array
    is_right: Array
    is_ignored: Array
    objects: Array


def match(
    found: Sequence[Objects],
    truth: Sequence[Truth],
    classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Matches:
    """Compare what was found in each picture with what is there."""
    parts = [_match_picture(*pair, thresholds) for pair in zip(found, truth, strict=True)]
    scores = np.concatenate([objects.scores for objects in found])
    order = np.argsort(-scores, kind="stable")
    picture = np.repeat(np.arange(len(found)), [len(objects) for objects in found])
    is_right, is_ignored = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
    return Matches(
        picture=picture[order],
        label=np.concatenate([objects.labels for objects in found])[order],
        is_right=is_right[:, order],
        is_ignored=is_ignored[:, order],
        objects=np.stack([_count(one, classes) for one in truth]),
    )


def average_precision(matches: Matches, row: int, weights: Array | None = None) -> Array:
    """Float [K] at threshold number `row`, NaN for classes of which there is nothing to find.

    `weights` int [N] says how often each picture counts: a resample without sorting anew.
    """
    weights = np.ones(len(matches.objects)) if weights is None else weights
    counted = weights[matches.picture] * ~matches.is_ignored[row]
    right = counted * matches.is_right[row]
    objects = weights @ matches.objects
    values = np.full(len(objects), np.nan)
    for label in np.flatnonzero(objects > 0):
        rows = matches.label == label
        values[label] = _area(right[rows], counted[rows], float(objects[label]))
    return values


def mean_average_precision(
    matches: Matches, rows: Sequence[int], weights: Array | None = None
) -> float:
    """Over the classes that occur and the thresholds numbered `rows`; 0 where no class occurs."""
    values = np.stack([average_precision(matches, row, weights) for row in rows])
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def picture_interval(matches: Matches, row: int, seed: int, resamples: int) -> ConfidenceInterval:
    """Bootstrap over pictures of the mean average precision at threshold number `row`.

    Moved so that its middle is the figure itself: precision is made to fall by taking maxima, which
    are higher where pictures occur twice, so the plain percentiles lie too high.
    """
    pictures = len(matches.objects)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(pictures, np.full(pictures, 1 / pictures), size=resamples)
    values = np.asarray([mean_average_precision(matches, [row], weights) for weights in drawn])
    moved = values - values.mean() + mean_average_precision(matches, [row])
    low, high = np.clip(np.percentile(moved, [2.5, 97.5]), 0, 1)
    return ConfidenceInterval(low=low, high=high, method=f"bootstrap-{resamples}-centred")


def _area(right: Array, counted: Array, objects: float) -> float:
    """Mean precision at 101 recalls, of detections that are sorted, best first."""
    hits, claims = np.cumsum(right), np.cumsum(counted)
    precision = hits / np.maximum(claims, 1e-12)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    # Shares of sums: without the slack, a recall of 0.3 would miss the point 0.3.
    reached = np.searchsorted(hits / objects, _RECALLS - 1e-9, side="left")
    return float(np.concatenate([falling, [0.0]])[np.minimum(reached, len(falling))].mean())


def _match_picture(
    found: Objects, truth: Truth, thresholds: Sequence[float]
) -> tuple[Array, Array]:
    """Bool [T, d] twice: right, and ignored. `found` is sorted, best first."""
    is_right = np.zeros((len(thresholds), len(found)), dtype=bool)
    is_ignored = np.zeros_like(is_right)
    alike = found.labels[:, None] == truth.labels
    overlaps = np.where(alike & ~truth.crowds, iou(found.boxes, truth.boxes), 0)
    in_crowd = np.where(alike & truth.crowds, coverage(found.boxes, truth.boxes), 0)
    crowded = in_crowd.max(axis=1, initial=0)
    for row, threshold in enumerate(thresholds):
        free = overlaps.copy()
        for number in np.flatnonzero(overlaps.max(axis=1, initial=0) >= threshold):
            best = int(free[number].argmax())
            if free[number, best] >= threshold:
                is_right[row, number] = True
                free[:, best] = 0
        is_ignored[row] = ~is_right[row] & (crowded >= threshold)
    return is_right, is_ignored


def _count(truth: Truth, classes: int) -> Array:
    return np.bincount(truth.labels[~truth.crowds], minlength=classes)
