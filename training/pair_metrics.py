"""Figures of merit for texts that are compared: rank correlation, reciprocal rank. Letters: N rows.

Plain numpy, as `training.metrics`, whose intervals are used here too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ConfidenceInterval
from training.metrics import bootstrap_interval

Array = NDArray[Any]


def spearman(first: Array, second: Array) -> float:
    """Correlation of the ranks of [N] and [N] (Spearman 1904), −1…1; 0 where either is constant."""
    ranks = [_ranks(values) for values in (first, second)]
    centred = [rank - rank.mean() for rank in ranks]
    spread = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum() / spread) if spread else 0.0


def spearman_interval(first: Array, second: Array, seed: int) -> ConfidenceInterval:
    """By resampling rows."""
    rows = np.stack([first, second], axis=1)
    return bootstrap_interval(rows, lambda sample: spearman(sample[:, 0], sample[:, 1]), seed)


def reciprocal_ranks(similarity: Array, wanted: Array, is_right: Array | None = None) -> Array:
    """float [N]: 1 / rank of the wanted candidate in each row of `similarity` [N, candidates].

    `wanted` int [N]. Equal scores count against the model: a constant one must not look good. Candidates
    of `is_right` bool [N, candidates] are right answers too and push nothing down.
    """
    rows = np.arange(len(similarity))
    own = similarity[rows, wanted][:, None]
    rivals = similarity >= own
    rivals[rows, wanted] = False
    if is_right is not None:
        rivals &= ~is_right
    result: Array = 1.0 / (1 + rivals.sum(axis=1))
    return result


def mean_interval(values: Array, seed: int) -> ConfidenceInterval:
    """Of the mean of [N], by resampling."""
    return bootstrap_interval(values, lambda sample: float(sample.mean()), seed)


def tfidf_vectors(training_texts: Sequence[str], texts: Sequence[str]) -> Any:
    """Sparse [N, words], of length 1: what counts of words alone can tell."""
    # Here, because scikit-learn takes a second to import and only evaluation needs it.
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32
    )
    vectorizer.fit(training_texts)
    return vectorizer.transform(texts)


def _ranks(values: Array) -> Array:
    """float [N]; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    result: Array = (ends - (counts - 1) / 2)[place]
    return result
