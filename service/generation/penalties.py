"""Penalties for tokens that have been written already, counted as they come.

Applied by logits_processors.py. The counts live in arrays over the distinct tokens of one request, so a
step touches these few hundred logits, never the whole vocabulary.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from service.generation.request import SamplingParams

_ROOM = 64  # tokens that an answer begins with space for


class Penalties:
    """One request's counts. The formulas are OpenAI's and vLLM's:

    repetition, for tokens of prompt and answer: a positive logit is divided by it, a negative multiplied;
    frequency × count and presence, once, are then subtracted for tokens of the answer.
    """

    def __init__(self, params: SamplingParams, prompt: Iterable[int]) -> None:
        self._repetition = np.float32(params.repetition_penalty)
        self._frequency = params.frequency_penalty
        self._presence = params.presence_penalty
        self._is_repetition = params.repetition_penalty != 1.0
        seen = sorted(set(prompt)) if self._is_repetition else []
        self._places = {token: place for place, token in enumerate(seen)}
        self._counts = [0] * len(seen)
        self._ids = np.array([*seen, *[0] * _ROOM], np.intp)
        self._subtracted = np.zeros(len(self._ids), np.float32)

    @staticmethod
    def are_asked_for(params: SamplingParams) -> bool:
        neutral = (1.0, 0.0, 0.0)
        return neutral != (
            params.repetition_penalty,
            params.presence_penalty,
            params.frequency_penalty,
        )

    def accept(self, token: int) -> None:
        """`token` belongs to the answer from now on."""
        place = self._places.setdefault(token, len(self._counts))
        if place == len(self._counts):
            self._counts.append(0)
            if place == len(self._ids):
                self._ids = np.append(self._ids, np.zeros_like(self._ids))
                self._subtracted = np.append(self._subtracted, np.zeros_like(self._subtracted))
            self._ids[place] = token
        self._counts[place] += 1
        self._subtracted[place] = self._frequency * self._counts[place] + self._presence

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Change logits [V] in place."""
        used = len(self._counts)
        ids = self._ids[:used]
        values = logits[ids]
        if self._is_repetition:
            divided, multiplied = values / self._repetition, values * self._repetition
            values = np.where(values > 0, divided, multiplied)
        values -= self._subtracted[:used]
        logits[ids] = values
