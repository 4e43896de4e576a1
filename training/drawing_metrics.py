"""Figures of drawn pictures against real ones: likeness as a whole, variety, novelty.

Used by the works that draw, on numpy arrays alone. Letters: N pictures, F features, P = pixels of a picture.

The Fréchet distance (D. Dowson, B. Landau 1982) compares two clouds of features as if both were normal. The
papers take the features of a network trained on ImageNet (M. Heusel et al. 2017, arXiv:1706.08500, "FID");
here they are those of the run's own judge, so figures compare models of one data set, and no FID of a paper.
It grows as samples get fewer: compare equal numbers, and with the distance between halves of the real ones.
"""

import numpy as np

from models.manifest import ConfidenceInterval
from training.work import Array

_RESAMPLES = 100


def frechet_distance(left: Array, right: Array) -> float:
    """Of features float [N, F] and [M, F]; 0 for equal means and covariances."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    apart = left.mean(axis=0) - right.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(part, rowvar=False)) for part in (left, right)]
    root = _square_root(covariances[0])
    # The product of both is not symmetric; this has the same eigenvalues and is.
    shared = np.linalg.eigvalsh(root @ covariances[1] @ root)
    overlap = 2 * np.sqrt(np.clip(shared, 0, None)).sum()
    total = apart @ apart + sum(float(np.trace(each)) for each in covariances) - overlap
    return max(0.0, float(total))


def frechet_interval(drawn: Array, real: Array, seed: int) -> ConfidenceInterval:
    """How far the distance of as many pictures varies, by resampling what was drawn.

    Resampling alone makes the distance larger, since some pictures come twice; so its spread is taken, laid
    around the distance itself. The interval is of this number of pictures, as the distance is.
    """
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(drawn), size=(_RESAMPLES, len(drawn)))
    found = np.array([frechet_distance(drawn[row], real) for row in rows])
    low, high = np.percentile(found - found.mean(), [2.5, 97.5])
    whole = frechet_distance(drawn, real)
    return ConfidenceInterval(
        low=max(0.0, whole + float(low)),
        high=whole + float(high),
        method=f"centred-bootstrap-{_RESAMPLES}",
    )


def spread_within_classes(pictures: Array, labels: Array) -> float:
    """Root mean square deviation of pixels from the mean picture of their class."""
    variances = [pictures[labels == label].var(axis=0).mean() for label in np.unique(labels)]
    return float(np.sqrt(np.mean(variances)))


def nearest_within(pictures: Array) -> float:
    """Median distance of pictures [N, …] to the most like of the others; 0 where all are alike."""
    flat = pictures.reshape(len(pictures), -1)
    distances = _distances(flat, flat)
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances.min(axis=1)))


def nearest_among(pictures: Array, others: Array) -> float:
    """Median distance of pictures [N, …] to the most like of `others` [M, …]."""
    flat, rest = (part.reshape(len(part), -1) for part in (pictures, others))
    return float(np.median(_distances(flat, rest).min(axis=1)))


def effective_classes(labels: Array, classes: int) -> float:
    """How evenly classes occur, as a part of them all: exp(entropy) / classes; 1: all equally often."""
    share = np.bincount(labels, minlength=classes) / max(1, len(labels))
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()) / classes)


def _distances(left: Array, right: Array) -> Array:
    """Euclidean, float64 [N, M] of [N, P] and [M, P]."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    distances: Array = np.sqrt(np.clip(squares, 0, None))
    return distances


def _square_root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root
