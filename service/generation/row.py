"""One admitted request as the engine's stages see it, from the queue to its last token.

What a request carries beside its prompt belongs here too: an encoder's output, which decides the keys and
values of every position, would be another field, filled by a stage before prefill.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.generation.lookup import PromptLookup
from service.generation.request import TokenLogprobs
from service.generation.sampling import RowSampler


@dataclass(eq=False, slots=True)
class Row:
    """`limit`: most tokens of the answer; `reserved_tokens`: positions of the cache that prompt and answer
    can come to need. Times are of the engine's clock.

    `answered` counts the answer's tokens so far, `fed` the cached prompt tokens, `cached_tokens` those of
    them that came from the prefix cache. `prefix_names`: of the prompt's whole blocks there; empty where
    it may not be shared. `prompt_scores`: of the prompt's tokens but the first, if asked for. `answer`: its
    tokens, which `lookup` reads. `is_told`: something was reported about it.
    """

    request_id: int
    prompt: NDArray[np.int64]
    limit: int
    sampler: RowSampler
    stop: frozenset[int]
    reserved_tokens: int = 0
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
    ended: bool = False
