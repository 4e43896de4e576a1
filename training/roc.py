"""How well a number tells two kinds apart: ROC AUC with its interval, and shares at a threshold.

Used where pictures are compared (same or different) and inspected (good or bad). Plain numpy, as
`training.metrics`. Letters: N items.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ConfidenceInterval

Array = NDArray[Any]


def roc_auc(scores: Array, is_positive: Array) -> float:
    """Chance that a positive item's score lies above a negative one's, ties half; 0.5 without either.

    By ranks (Mann, Whitney 1947); `scores` float [N], `is_positive` bool [N].
    """
    positives = int(is_positive.sum())
    negatives = len(scores) - positives
    if not positives or not negatives:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(mean_ranks[place[is_positive]].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def roc_auc_interval(
    scores: Array, is_positive: Array, seed: int, resamples: int = 1000
) -> ConfidenceInterval:
    """Percentile bootstrap, positive and negative items resampled apart, so that both are there."""
    generator = np.random.default_rng(seed)
    kinds = [np.flatnonzero(is_positive), np.flatnonzero(~is_positive)]
    found = []
    for _ in range(resamples):
        rows = np.concatenate([generator.choice(kind, len(kind)) for kind in kinds if len(kind)])
        found.append(roc_auc(scores[rows], is_positive[rows]))
    low, high = np.percentile(found, [2.5, 97.5])
    return ConfidenceInterval(low=float(low), high=float(high), method=f"bootstrap-{resamples}")


def roc_curve(scores: Array, is_positive: Array) -> tuple[Array, Array]:
    """(false, true) positive shares at every threshold, from the highest to the lowest, (0, 0) first."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], is_positive[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    true = np.cumsum(hits)[ends] / max(int(hits.sum()), 1)
    false = np.cumsum(~hits)[ends] / max(int((~hits).sum()), 1)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])
