"""Logits → next token: greedy or drawn at random, row by row, independent of the neighbours.

Called by the engine with the logits of every row that ends a step with a new token. A row's choice is a
function of its own logits, parameters, seed and position in the answer alone, never of the row's index
or of the batch: each row is computed on its own, and its random number is not taken from a stream but
computed from (seed, position) by a counter-based generator. So one request gives the same answer
whatever else the server does, and after being moved, retried or resumed.

Not done here: penalties, biases and grammars, which change logits before they arrive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.generation.request import SamplingParams, TokenLogprobs

# Candidates looked at before sorting a whole row: sorting 32,000 logits costs some 50 times as much
# as finding the best 64, and these nearly always hold the top_p mass. Exact either way.
_PREFILTER = 64
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Choice:
    """The token chosen for a row; `logprobs` only if the request asked."""

    token: int
    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True)
class RowSampler:
    """One request's rule and seed. `seed` is any integer; its low 64 bits count."""

    params: SamplingParams
    seed: int

    def choose(self, logits: NDArray[np.float32], best: int, position: int) -> Choice:
        """logits float32 [V]; `best` their argmax; `position` counts the answer's tokens from 0."""
        token = best
        if self.params.temperature > 0 and self.params.top_k != 1:
            token = self._draw(logits, float(logits[best]), uniform(self.seed, position))
        if self.params.logprobs is None:
            return Choice(token)
        return Choice(token, token_logprobs(logits, token, self.params.logprobs))

    def _draw(self, logits: NDArray[np.float32], peak: float, chance: float) -> int:
        # Subtracting the peak first keeps exp within (0, 1] at every temperature, however small.
        weights = np.exp((logits.astype(np.float64) - peak) / self.params.temperature)
        if self.params.top_k in range(1, len(weights)) or self.params.top_p < 1.0:
            candidates = self._candidates(weights)
            return int(candidates[_inverse(weights[candidates], chance)])
        return _inverse(weights, chance)

    def _candidates(self, weights: NDArray[np.float64]) -> NDArray[np.intp]:
        """Tokens that top_k, then top_p leave, best first; equal weights in order of their ids."""
        size = len(weights)
        top_k = self.params.top_k or size
        ranked = _ranked(weights, min(top_k, _PREFILTER) if self.params.top_p < 1.0 else top_k)
        if self.params.top_p == 1.0:
            return ranked
        mass = weights.sum() if top_k >= size else _ranked_mass(weights, top_k)
        for _ in range(2):
            reached = np.cumsum(weights[ranked]) >= self.params.top_p * mass
            if reached.any():
                return ranked[: int(reached.argmax()) + 1]
            ranked = _ranked(weights, top_k)
        return ranked  # rounding kept the sum below the whole mass: nothing is cut


def sample(
    logits: NDArray[np.float32], rows: Sequence[tuple[RowSampler, int]]
) -> list[Choice | None]:
    """Choose for every row of logits [N, V]; `rows` are samplers with their answer positions.

    None stands for a row whose logits hold a NaN or +inf: only that request is to fail. -inf is a
    token that cannot be chosen.
    """
    best = logits.argmax(axis=1)  # a NaN counts as the largest
    return [
        sampler.choose(row, int(top), position) if math.isfinite(row[top]) else None
        for row, top, (sampler, position) in zip(logits, best, rows, strict=True)
    ]


def token_logprobs(logits: NDArray[np.float32], token: int, alternatives: int) -> TokenLogprobs:
    """Log-probability of `token` and of the most likely tokens, under the model's own distribution."""
    exact = logits.astype(np.float64)
    peak = exact.max()
    values = exact - (peak + math.log(np.exp(exact - peak).sum()))
    values = np.minimum(values, 0.0)
    top = _ranked(values, alternatives)
    return TokenLogprobs(float(values[token]), tuple((int(t), float(values[t])) for t in top))


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) with 53 random bits, determined by its arguments."""
    high, low, _, _ = philox4x32(
        (position & _WORD, position >> 32 & _WORD, 0, 0), (seed & _WORD, seed >> 32 & _WORD)
    )
    return ((high >> 5) * 67_108_864 + (low >> 6)) / 9_007_199_254_740_992


def philox4x32(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011).

    In plain integers: one block takes 3.5 µs, building numpy's generator for it 13 µs.
    """
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1 = (second >> 32) ^ c1 ^ k0, second & _WORD
        c2, c3 = (first >> 32) ^ c3 ^ k1, first & _WORD
        k0, k1 = k0 + 0x9E3779B9 & _WORD, k1 + 0xBB67AE85 & _WORD
    return c0, c1, c2, c3


def _inverse(weights: NDArray[np.float64], chance: float) -> int:
    """Index drawn in proportion to `weights` by inverting their cumulative sum."""
    edges = np.cumsum(weights)
    index = int(np.searchsorted(edges, chance * edges[-1], side="right"))
    if index < len(edges):
        return index
    return int(np.flatnonzero(weights)[-1])  # rounding put chance · sum on the last edge


def _ranked(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Indices of the `count` largest values, largest first; ties in ascending index order."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    # Everything above the threshold, then ties at it by ascending index: a bare argpartition
    # would pick among equals in an order that depends on its algorithm.
    threshold = np.partition(values, len(values) - count)[len(values) - count]
    above = np.flatnonzero(values > threshold)
    equal = np.flatnonzero(values == threshold)[: count - len(above)]
    kept = np.concatenate((above, equal))
    return kept[np.argsort(-values[kept], kind="stable")]


def _ranked_mass(weights: NDArray[np.float64], count: int) -> float:
    return float(np.partition(weights, len(weights) - count)[len(weights) - count :].sum())
