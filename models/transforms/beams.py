"""Beam search over one answer: which hypotheses go on, which have ended, which is the best.

Executed wherever an encoder–decoder answers, so that the served answer and the measured one are the
same. Knows nothing of networks: the caller brings log-probabilities and takes back, per beam, the token
to feed and the beam whose cache it continues. Letters: R live beams, V vocabulary.

The rules are those of transformers' beam search with `early_stopping=False`: the 2·num_beams likeliest
continuations are looked at; of these an ending counts only among the first num_beams; the search is over
when num_beams answers have ended and the best live beam, divided by its present length to the power of
`length_penalty`, is no better than the worst of them. Graves 2012 (arXiv:1211.3711); length
normalisation: Wu et al. 2016 (arXiv:1609.08144), in its simple form.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Beam:
    """`tokens` without the start and the ending token; `score`: while it lives the sum of its
    log-probabilities, once ended that sum over its length (the ending counted) to the length penalty."""

    tokens: tuple[int, ...]
    score: float
    has_stopped: bool = False


class BeamSearch:
    """`live` are the beams to feed, at first one empty answer. Deterministic: among equals the earlier
    beam, then the lower token wins."""

    def __init__(
        self, num_beams: int, length_penalty: float, stop_token_ids: Iterable[int], max_tokens: int
    ) -> None:
        assert num_beams >= 1
        assert max_tokens >= 1
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.max_tokens = max_tokens
        self.live: list[Beam] = [Beam((), 0.0)]
        self.ended: list[Beam] = []
        self._stop = frozenset(stop_token_ids)

    @property
    def is_done(self) -> bool:
        return not self.live

    @property
    def best(self) -> Beam:
        """The best ended answer; while there is none, the likeliest live one."""
        return max(self.ended or self.live, key=lambda beam: beam.score)

    def advance(self, log_probabilities: Array) -> list[int]:
        """Take the next token of every live beam, float [R, V]; → for each beam now in `live`, the
        place of the beam it continues. Nothing when the search is done."""
        assert len(log_probabilities) == len(self.live)
        vocabulary = log_probabilities.shape[1]
        scores = np.array([beam.score for beam in self.live])
        totals = (scores[:, np.newaxis] + log_probabilities).ravel()
        live: list[Beam] = []
        parents: list[int] = []
        for rank, place in enumerate(_highest(totals, 2 * self.num_beams)):
            parent, token = divmod(int(place), vocabulary)
            tokens, score = self.live[parent].tokens, float(totals[place])
            if not np.isfinite(score):
                continue  # a forbidden token
            if token in self._stop:
                if rank < self.num_beams:
                    self._end(tokens, score, len(tokens) + 1, has_stopped=True)
            elif len(live) < self.num_beams:
                live.append(Beam((*tokens, token), score))
                parents.append(parent)
        if not live and not self.ended:  # everything was forbidden: what there is must do
            for beam in self.live:
                self._end(beam.tokens, beam.score, max(1, len(beam.tokens)), has_stopped=False)
        self.live = live
        if live and self._is_over(len(live[0].tokens)):
            self.live, parents = [], []
        return parents

    def _is_over(self, length: int) -> bool:
        if length >= self.max_tokens:
            for beam in self.live:
                self._end(beam.tokens, beam.score, length, has_stopped=False)
            return True
        if len(self.ended) < self.num_beams:
            return False
        attainable = max(beam.score for beam in self.live) / length**self.length_penalty
        return bool(attainable <= min(beam.score for beam in self.ended))

    def _end(
        self, tokens: tuple[int, ...], score: float, length: int, *, has_stopped: bool
    ) -> None:
        self.ended.append(Beam(tokens, score / length**self.length_penalty, has_stopped))
        self.ended.sort(key=lambda beam: -beam.score)
        del self.ended[self.num_beams :]


def _highest(values: Array, count: int) -> Array:
    """Places of the `count` highest values, the highest first; among equals the first."""
    if count < len(values):
        floor = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= floor)
    else:
        places = np.arange(len(values))
    order = np.argsort(-values[places], kind="stable")
    result: Array = places[order[:count]]
    return result
