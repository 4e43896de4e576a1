"""Vectors as answers: shortened, brought to length 1, compared. Letters: D dimensions, N vectors.

Used by training (evaluation) and by the service's embedding tasks and routes.
"""

import numpy as np

_LEAST_LENGTH = 1e-12  # a vector of zeros has no direction: it stays what it is


def finished(vector: np.ndarray, *, dimensions: int | None, normalise: bool) -> np.ndarray:
    """float32, contiguous: the first `dimensions` numbers of the last axis, of length 1 if `normalise`.

    Shortening comes first (Kusupati et al. 2022, arXiv:2205.13147): what is left gets the full length.
    """
    kept = np.asarray(vector, dtype=np.float32)[..., :dimensions]
    return normalised(kept) if normalise else np.ascontiguousarray(kept)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """float32 [..., D], each of length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: np.ndarray = (vectors / np.maximum(length, _LEAST_LENGTH)).astype(np.float32)
    return result


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float32 of the leading shape: −1 opposite, 1 alike. [..., D] twice, row by row or broadcast."""
    product = (normalised(first) * normalised(second)).sum(axis=-1)
    result: np.ndarray = np.clip(product, -1.0, 1.0)
    return result
