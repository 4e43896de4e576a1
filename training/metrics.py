"""Figures of merit on held-out data, with their uncertainty. Letters: N items, C classes.

Used by the `evaluate` of every kind of work and by the gates. Plain numpy: the same code judges torch,
the exported graph and its variants, so it never sees a tensor. Intervals are 95 % and describe the
sampling of the held-out items only, not what another seed would give.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ConfidenceInterval
from models.transforms.scores import softmax

Array = NDArray[Any]
Statistic = Callable[[Array], float]

_Z95 = 1.959963984540054  # two-sided 95 % of the standard normal
_TEMPERATURES = (0.05, 20.0)
_GOLDEN_SECTION = (5**0.5 - 1) / 2


def accuracy(y_true: Array, y_pred: Array) -> float:
    """Share of equal entries; 0 where there are none."""
    return float(np.mean(y_true == y_pred)) if len(y_true) else 0.0


def majority_accuracy(y_train: Array, y_true: Array) -> float:
    """Accuracy of always answering the commonest training class (the lowest one among equals)."""
    return accuracy(y_true, np.full_like(y_true, np.bincount(y_train).argmax()))


def wilson_interval(correct: int, total: int) -> ConfidenceInterval:
    """Interval of a share (Wilson 1927); unlike the normal one it stays right near 0 and 1."""
    if total == 0:
        return ConfidenceInterval(low=0.0, high=1.0, method="wilson")
    share, z2 = correct / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = share * (1 - share) / total + z2 / (4 * total**2)
    half = _Z95 * spread**0.5 / (1 + z2 / total)
    # At the ends the formula is exact and only rounding, 1e-17, would say otherwise.
    low = 0.0 if correct == 0 else centre - half
    high = 1.0 if correct == total else centre + half
    return ConfidenceInterval(low=low, high=high, method="wilson")


def bootstrap_interval(
    values: Array, statistic: Statistic, seed: int, resamples: int = 1000
) -> ConfidenceInterval:
    """Percentile bootstrap (Efron 1979): `statistic` of resampled rows of `values` [N, …]."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(values), size=(resamples, len(values)))
    low, high = np.percentile([statistic(values[row]) for row in rows], [2.5, 97.5])
    return ConfidenceInterval(low=float(low), high=float(high), method=f"bootstrap-{resamples}")


def confusion(y_true: Array, y_pred: Array, classes: int) -> NDArray[np.int64]:
    """int64 [C, C]: how many items of the row's class were given the column's."""
    pairs = np.bincount(y_true * classes + y_pred, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64)


def multilabel_confusion(y_true: Array, y_pred: Array) -> NDArray[np.int64]:
    """int64 [C, 2, 2] of bool [N, C]: for each class on its own [[neither, wrongly said], [missed, both]].

    An item may have any number of classes; for one class each, hand in one-hot rows.
    """
    truth, given = y_true.astype(bool), y_pred.astype(bool)
    cells = [(~truth & ~given), (~truth & given), (truth & ~given), (truth & given)]
    counts = np.stack([cell.sum(axis=0) for cell in cells], axis=-1)
    return counts.reshape(-1, 2, 2).astype(np.int64)


def precision_recall_f1(tables: NDArray[np.int64]) -> Array:
    """float [C, 3] of tables [C, 2, 2] as above; 0 where nothing was said, or nothing was there."""
    wrongly, missed, both = tables[:, 0, 1], tables[:, 1, 0], tables[:, 1, 1]
    divisors = (both + wrongly, both + missed, both + (wrongly + missed) / 2)
    result: Array = np.stack([both / np.maximum(divisor, 0.5) for divisor in divisors], axis=1)
    return result


def macro_f1(y_true: Array, y_pred: Array, classes: int) -> float:
    """Mean F1 over the classes that were present or predicted; the others have no F1 to average."""
    table = confusion(y_true, y_pred, classes)
    seen = table.sum(axis=0) + table.sum(axis=1)
    scores = 2 * table.diagonal()[seen > 0] / seen[seen > 0]
    return float(scores.mean()) if scores.size else 0.0


def expected_calibration_error(probabilities: Array, y_true: Array, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over equal bins (Guo et al. 2017, arXiv:1706.04599)."""
    counts, confidence, share = calibration_bins(probabilities, y_true, bins)
    return float((counts * np.abs(confidence - share)).sum() / max(int(counts.sum()), 1))


def calibration_bins(probabilities: Array, y_true: Array, bins: int) -> tuple[Array, Array, Array]:
    """Per confidence bin of `probabilities` [N, C]: items, mean confidence, accuracy (0 where empty)."""
    confidence = probabilities.max(axis=-1)
    hits = probabilities.argmax(axis=-1) == y_true
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    divisor = np.maximum(counts, 1)
    mean_confidence = np.bincount(index, weights=confidence, minlength=bins) / divisor
    return counts, mean_confidence, np.bincount(index, weights=hits, minlength=bins) / divisor


def negative_log_likelihood(logits: Array, y_true: Array, temperature: float = 1.0) -> float:
    """Mean of −ln p(true class), in nats; `logits` [N, C]."""
    chosen = softmax(logits, temperature)[np.arange(len(y_true)), y_true]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())


def fit_temperature(logits: Array, y_true: Array) -> float:
    """The divisor of `logits` [N, C] that makes their softmax likeliest (Guo et al. 2017).

    Golden-section search on ln T: the likelihood has one peak in 1/T. Labels are softened by one
    item's worth, as Platt (1999) does: where few or no answers are wrong, the plain likelihood asks
    for boundless confidence. The answer stays within 0.05–20; 1 where there is nothing to fit on.
    """
    if not len(y_true):
        return 1.0

    softened = 1 / (len(y_true) + 2)

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        everything = _log_softmax(logits / temperature)
        chosen = everything[np.arange(len(y_true)), y_true]
        return -float((1 - softened) * chosen.mean() + softened * everything.mean())

    low, high = (float(np.log(end)) for end in _TEMPERATURES)
    while high - low > 1e-4:
        left = high - _GOLDEN_SECTION * (high - low)
        right = low + _GOLDEN_SECTION * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def _log_softmax(logits: Array) -> Array:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
