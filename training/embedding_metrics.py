"""Figures of merit for pictures' vectors: is the nearest other picture of the same identity?

Plain numpy, as `training.metrics`. Letters: N pictures, D dimensions, I identities, P pairs.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ConfidenceInterval
from models.transforms.vectors import normalised
from training.metrics import bootstrap_interval

Array = NDArray[Any]

_BLOCK_ROWS = 512  # of a matrix of cosines that is looked at and forgotten
_MOST_PAIRED = 2000  # pictures whose pairs are all looked at: two millions


def neighbours(vectors: Array) -> tuple[Array, Array]:
    """(row of the nearest other picture int64 [N], its cosine float32 [N]) for `vectors` [N, D]."""
    unit = normalised(vectors)
    nearest, cosines = [], []
    for start in range(0, len(unit), _BLOCK_ROWS):
        block = unit[start : start + _BLOCK_ROWS] @ unit.T
        rows = np.arange(len(block))
        block[rows, start + rows] = -np.inf
        best = block.argmax(axis=1)
        nearest.append(best)
        cosines.append(block[rows, best])
    return np.concatenate(nearest), np.concatenate(cosines)


def recall_table(labels: Array, nearest: Array) -> Array:
    """int64 [I, 2]: for each identity with two pictures or more, hits and questions.

    A picture without a second one of its identity is nobody's question, but can be a wrong answer.
    """
    names, counts = np.unique(labels, return_counts=True)
    hits = labels[nearest] == labels
    rows = [
        (int(hits[labels == name].sum()), int(count))
        for name, count in zip(names, counts, strict=True)
        if count >= 2
    ]
    return np.asarray(rows, dtype=np.int64).reshape(-1, 2)


def hits(labels: Array, nearest: Array) -> Array:
    """bool [questions]: is the nearest other picture of the same identity? Their mean is `recall`."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    found: Array = (labels[nearest] == labels)[counts[place] >= 2]
    return found


def recall(table: Array) -> float:
    """Share of the questions whose nearest other picture is of the same identity (recall@1)."""
    hits, questions = table.sum(axis=0)
    return float(hits / max(int(questions), 1))


def recall_interval(table: Array, seed: int) -> ConfidenceInterval:
    """By resampling identities: pictures of one are alike, and so are their mistakes."""
    return bootstrap_interval(table, recall, seed)


def pair_cosines(vectors: Array, labels: Array, seed: int) -> tuple[Array, Array]:
    """(cosines float32 [P], is the same identity bool [P]) of all pairs of the pictures, or of pairs of
    a random part of many."""
    rows = np.arange(len(vectors))
    if len(rows) > _MOST_PAIRED:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_MOST_PAIRED])
    unit, chosen = normalised(vectors[rows]), labels[rows]
    first, second = np.triu_indices(len(rows), k=1)
    cosines = (unit @ unit.T)[first, second]
    return cosines, chosen[first] == chosen[second]
