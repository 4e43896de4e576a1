"""What a detector's two outputs mean: boxes with scores → objects, thinned out and in pixels.

Used by the service for answers and by training for its figures, so both mean the same objects. Non-maximum
suppression is class by class (an object hides another only of its own class) and bounded: of all
candidates the 1,000 with the highest scores take part.

Letters: N candidates of the graph, K classes, M objects.
"""

from dataclasses import dataclass

import numpy as np

from models.blocks import DetectionPostprocessing
from models.transforms.geometry import Placement
from models.transforms.scores import softmax

MOST_CANDIDATES = 1000


@dataclass(frozen=True)
class Objects:
    """M objects, best first: `boxes` float32 [M, 4] as x_min, y_min, x_max, y_max; `scores` float32 [M];
    `labels` int64 [M]."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: np.ndarray) -> "Objects":
        return Objects(self.boxes[rows], self.scores[rows], self.labels[rows])


@dataclass(frozen=True)
class Limits:
    """What counts as found. `most` objects at most."""

    score_threshold: float
    iou_threshold: float
    most: int


def find_objects(
    boxes: np.ndarray,
    scores: np.ndarray,
    block: DetectionPostprocessing,
    limits: Limits,
    placed: Placement,
) -> Objects:
    """Outputs boxes [N, 4] and scores [N, K] of one picture → its objects, in the picture's pixels.

    Objects of no extent within the picture are left out.
    """
    found = _candidates(probabilities(scores, block), limits.score_threshold)
    corners = to_corners(boxes, block, placed.canvas)
    rows, labels, certainty = found
    objects = Objects(corners[rows].astype(np.float32), certainty, labels)
    # Suppressed in the canvas: at a picture's edge, cutting boxes off first would make them alike.
    if block.nms == "postprocess":
        objects = objects.take(suppress(objects, limits.iou_threshold, limits.most))
    objects = objects.take(np.arange(min(limits.most, len(objects))))
    shown = placed.to_picture(objects.boxes).astype(np.float32)
    objects = Objects(shown, objects.scores, objects.labels)
    return objects.take(np.flatnonzero((shown[:, 2:] > shown[:, :2]).all(axis=1)))


def probabilities(scores: np.ndarray, block: DetectionPostprocessing) -> np.ndarray:
    """float32 [N, K]. Where a class stands for nothing, each candidate keeps its best class alone."""
    if block.score_kind == "sigmoid":
        # tanh form: exp of a large negative number overflows.
        result: np.ndarray = 0.5 + 0.5 * np.tanh(0.5 * scores.astype(np.float32))
        return result
    if block.score_kind == "softmax_background":
        shares = softmax(scores)[:, :-1]
        best = shares.argmax(axis=1)[:, None] == np.arange(shares.shape[1])
        return np.where(best, shares, np.float32(0))
    return scores.astype(np.float32)


def to_corners(
    boxes: np.ndarray, block: DetectionPostprocessing, canvas: tuple[int, int]
) -> np.ndarray:
    """[N, 4] as x_min, y_min, x_max, y_max in pixels of the graph's input."""
    if block.box_format == "cxcywh":
        centre, half = boxes[:, :2], boxes[:, 2:] / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
    if block.box_unit == "relative":
        boxes = boxes * np.tile(canvas, 2)
    return boxes


def suppress(objects: Objects, iou_threshold: float, most: int) -> np.ndarray:
    """Rows that stay, best first: none overlaps a better one of its class by more than the threshold.

    `objects` must be sorted, best first, and bounded.
    """
    count = len(objects)
    overlaps = (iou(objects.boxes, objects.boxes) > iou_threshold) & (
        objects.labels[:, None] == objects.labels
    )
    stays, kept = np.ones(count, dtype=bool), []
    for row in range(count):
        if not stays[row]:
            continue
        kept.append(row)
        if len(kept) == most:
            break
        stays &= ~overlaps[row]
    return np.asarray(kept, dtype=np.int64)


def iou(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Intersection over union [L, R] of boxes [L, 4] and [R, 4]; 0 for boxes without an area."""
    shared = _shared_area(left, right)
    union = _area(left)[:, None] + _area(right) - shared
    result: np.ndarray = shared / np.where(union > 0, union, 1)
    return result


def coverage(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Part [L, R] of each box of `left` that lies in one of `right`."""
    area = _area(left)[:, None]
    result: np.ndarray = _shared_area(left, right) / np.where(area > 0, area, 1)
    return result


def _candidates(shares: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, classes and scores of the best pairs above the threshold, best first."""
    flat = shares.ravel()
    chosen = np.flatnonzero((flat >= threshold) & (flat > 0))
    if len(chosen) > MOST_CANDIDATES:
        best = np.argpartition(-flat[chosen], MOST_CANDIDATES)[:MOST_CANDIDATES]
        chosen = np.sort(chosen[best])
    chosen = chosen[np.argsort(-flat[chosen], kind="stable")]
    rows, labels = np.divmod(chosen, shares.shape[1])
    return rows, labels, flat[chosen]


def _shared_area(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    result: np.ndarray = np.clip(high - low, 0, None).prod(axis=2)
    return result


def _area(boxes: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return result
