"""Logits → a token at random: temperature, then what min_p, top_k and top_p leave, then the draw.

Everything is exact: what is looked at first (the best 64, or 1024) decides only when it provably suffices,
and else the whole row is sorted. Weights are float32, their sums float64. Shapes: V vocabulary, K tokens
kept.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.generation.ranking import first_of_equals, largest
from service.generation.request import SamplingParams

# Best tokens that are looked at first: 64 nearly always hold the top_p mass of a trained model.
_PREFILTERS = (64, 1024)
_BLOCK = 256  # weights that are summed together where a whole row is drawn from


def draw(
    logits: NDArray[np.float32], peak: np.float32, params: SamplingParams, chance: float
) -> int:
    """The token of logits [V] that `chance` in [0, 1) falls on. `peak`: the largest logit, finite.

    The order is vLLM's: temperature, min_p (relative to the likeliest token), top_k, then top_p over the
    mass that these left. Of equal logits at the edge of top_k or top_p, those with the smaller id stay.
    """
    ids: NDArray[np.intp] | None = None  # None: all V
    if 0 < params.top_k < len(logits):
        ids = largest(logits, params.top_k)
        logits = logits[ids]
    # Subtracting the peak first keeps exp within (0, 1] at every temperature, however small.
    weights = logits - peak
    weights /= np.float32(params.temperature)
    np.exp(weights, out=weights)
    if params.min_p > 0.0:
        ids, weights = _kept(ids, weights, np.flatnonzero(weights >= params.min_p))
    if params.top_p < 1.0:
        ids, weights = _kept(ids, weights, nucleus(weights, params.top_p))
    place = inverse(weights, chance)
    return place if ids is None else int(ids[place])


def nucleus(weights: NDArray[np.float32], top_p: float) -> NDArray[np.intp]:
    """Indices, ascending, of the smallest set of weights [K] that holds `top_p` of their mass."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    for count in _PREFILTERS:
        if count >= len(weights):
            break
        best = largest(weights, count)
        kept = _reaching(weights[best], wanted)
        if kept is not None:
            return best[kept]
    kept = _reaching(weights, wanted)
    # Rounding may keep the sorted sum below the unsorted one: then nothing is cut.
    return np.arange(len(weights)) if kept is None else kept


def inverse(weights: NDArray[np.float32], chance: float) -> int:
    """Index drawn in proportion to weights [K] by inverting their cumulative sum."""
    edges = _block_edges(weights)
    index = _crossing(weights, edges, chance * float(edges[-1]), "right")
    if index < len(weights) and weights[index] > 0:
        return index
    return int(np.flatnonzero(weights)[-1])  # rounding put the target on the last edge


def _reaching(weights: NDArray[np.float32], wanted: float) -> NDArray[np.intp] | None:
    """Indices, ascending, of the fewest weights that sum up to `wanted`; None where all do not."""
    ordered = np.sort(weights)[::-1]
    count = _crossing(ordered, _block_edges(ordered), wanted, "left") + 1
    if count > len(ordered):
        return None
    return first_of_equals(weights, ordered[count - 1], count)


def _block_edges(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """The cumulative sum at the end of every block. A cumulative sum of the whole would take as long as
    everything else together: each of its additions waits for the one before."""
    starts = np.arange(0, len(weights), _BLOCK)
    return np.cumsum(np.add.reduceat(weights, starts, dtype=np.float64))


def _crossing(
    weights: NDArray[np.float32],
    edges: NDArray[np.float64],
    target: float,
    side: Literal["left", "right"],
) -> int:
    """First index where the cumulative sum reaches (left) or passes (right) `target`; K for none."""
    block = int(np.searchsorted(edges, target, side=side))
    if block == len(edges):
        return len(weights)
    start = block * _BLOCK
    before = float(edges[block - 1]) if block else 0.0
    inside = np.cumsum(weights[start : start + _BLOCK], dtype=np.float64)
    # Summed in another order than the edge was: the crossing may seem to lie behind the block.
    place = min(int(np.searchsorted(inside, target - before, side=side)), len(inside) - 1)
    return start + place


def _kept(
    ids: NDArray[np.intp] | None, weights: NDArray[np.float32], places: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    return (places if ids is None else ids[places]), weights[places]
