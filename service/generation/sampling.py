"""Logits → next token: greedy or drawn at random, row by row, independent of the neighbours.

Called by the engine with the logits of every row that ends a step with a new token. A row's choice is a
function of its own logits, parameters, seed and tokens alone, never of the row's index or of the batch:
each row is computed on its own, and its random number is not taken from a stream but computed from
(seed, position). So one request gives the same answer whatever else the server does, and after being
moved, retried or resumed.

The order of operations, which is vLLM's:

    1. log-probabilities for the caller, from the raw logits                   ranking.py
    2. logit_bias, repetition, frequency and presence penalties;
       -inf for stop tokens before min_tokens and what a constraint forbids    logits_processors.py
    3. temperature 0 (or below 1e-5, or top_k 1): the largest; else
    4. temperature, min_p, top_k, top_p, and the draw                          drawing.py
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InferenceFailed, SlipwayError
from service.generation.drawing import draw
from service.generation.logits_processors import LogitsProcessors, Matcher
from service.generation.ranking import token_logprobs
from service.generation.request import SamplingParams, TokenLogprobs
from service.generation.seeds import uniform

_GREEDY_BELOW = 1e-5  # as in vLLM: dividing by less tells nothing apart that float32 does


@dataclass(frozen=True)
class Choice:
    """The token chosen for a row; `logprobs` only if the request asked."""

    token: int
    logprobs: TokenLogprobs | None = None


class RowSampler:
    """One request's rule, seed and what its tokens so far mean for the next. Of `seed` the low 64 bits
    count. `stop`: tokens that end this answer."""

    def __init__(
        self,
        params: SamplingParams,
        seed: int,
        prompt: Iterable[int] = (),
        stop: Iterable[int] = (),
        matcher: Matcher | None = None,
    ) -> None:
        self.params = params
        self.seed = seed
        self._processors = LogitsProcessors(params, prompt, stop, matcher)
        self._is_greedy = params.temperature < _GREEDY_BELOW or params.top_k == 1

    @property
    def is_complete(self) -> bool:
        """True when a constraint is met and no token can follow: the answer is over."""
        return self._processors.is_complete

    def accept(self, token: int) -> None:
        """`token` was chosen and belongs to the answer; the next choice may depend on it."""
        self._processors.accept(token)

    def shaped(self, logits: NDArray[np.float32], position: int) -> NDArray[np.float32]:
        """Of logits or log-probabilities [V], which stay as they are, those to choose from: biased,
        penalised, -inf for what may not come. Raises BadRequest where nothing may be chosen."""
        return self._processors.apply(logits, position)

    def choose(self, logits: NDArray[np.float32], position: int, best: int | None = None) -> Choice:
        """logits float32 [V], not changed; `best` their argmax; `position` counts the answer's tokens
        from 0. Raises InferenceFailed for logits that are not finite, BadRequest where nothing may be
        chosen."""
        best = int(logits.argmax()) if best is None else best
        _require_finite(logits[best])  # a NaN counts as the largest
        shaped = self.shaped(logits, position)
        token = best if shaped is logits else int(shaped.argmax())
        peak = shaped[token]
        _require_finite(peak)
        if not self._is_greedy:
            token = draw(shaped, peak, self.params, uniform(self.seed, position))
        if self.params.logprobs is None:
            return Choice(token)
        return Choice(token, token_logprobs(logits, token, self.params.logprobs))


def sample(
    logits: NDArray[np.float32], rows: Sequence[tuple[RowSampler, int]]
) -> list[Choice | SlipwayError]:
    """Choose for every row of logits [N, V]; `rows` are samplers with their answer positions.

    An error where a row has no choice: its logits hold a NaN or +inf, or its constraint allows nothing.
    Only that request is to fail. A logit of -inf is a token that cannot be chosen.
    """
    choices: list[Choice | SlipwayError] = []
    best = logits.argmax(axis=1).tolist()
    with np.errstate(over="ignore"):  # a penalised logit beyond float32: not finite, and found
        for row, top, (sampler, position) in zip(logits, best, rows, strict=True):
            try:
                choices.append(sampler.choose(row, position, top))
            except SlipwayError as error:
                choices.append(error)
    return choices


def _require_finite(peak: np.float32) -> None:
    if not math.isfinite(peak):
        raise InferenceFailed("the model gave numbers that are not finite for this request")
