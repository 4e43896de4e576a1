"""One admitted request as the engine's stages see it, from the queue to its last token.

A request that searches with beams takes several places of the cache, each with a Row of its own there
(`Beams` makes them); the request's own Row then has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.generation.lookup import PromptLookup
from service.generation.request import TokenLogprobs
from service.generation.sampling import RowSampler

if TYPE_CHECKING:
    from service.generation.beams import Beams


@dataclass(eq=False, slots=True)
class Row:
    """`limit`: most tokens of the answer; `reserved_tokens`: positions of the cache that prompt and answer
    can come to need, in each of `places`. `source`: what an encoder reads. Times are of the engine's clock.

    `answered` counts the answer's tokens so far, `fed` the cached prompt tokens, `cached_tokens` those of
    them that came from the prefix cache. `prefix_names`: of the prompt's whole blocks there; empty where
    it may not be shared. `prompt_scores`: of the prompt's tokens but the first, if asked for. `answer`: its
    tokens, which `lookup` reads. `is_told`: something was reported about it. `log_probability`: the sum
    over `scored` tokens, the ending one included, where it is asked for.
    """

    request_id: int
    prompt: NDArray[np.int64]
    limit: int
    sampler: RowSampler
    stop: frozenset[int]
    reserved_tokens: int = 0
    places: int = 1
    source: NDArray[np.int64] | None = None
    beams: Beams | None = None
    level: int = 0
    arrived_s: float = 0.0
    deadline_s: float = math.inf
    admitted_s: float = 0.0
    prefix_names: list[bytes] = field(default_factory=list)
    prompt_logprobs: int | None = None
    prompt_scores: list[TokenLogprobs] = field(default_factory=list)
    lookup: PromptLookup | None = None
    answer: list[int] = field(default_factory=list)
    is_waiting: bool = False
    answered: int = 0
    fed: int = 0
    cached_tokens: int = 0
    is_told: bool = False
    log_probability: float = 0.0
    scored: int = 0
    ended: bool = False
