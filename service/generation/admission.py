"""What may join the queue: the checks that need the loaded model, and what a request becomes.

Refusals are immediate and say how much there is and how much was asked for.
"""

import math
import os

import numpy as np

from service.batching.drain import DrainRate
from service.errors import BadRequest, QueueFull
from service.generation.ledger import KvLedger
from service.generation.limits import EngineLimits
from service.generation.logits_processors import Matcher
from service.generation.prefix_cache import PrefixCache
from service.generation.request import GenerationRequest
from service.generation.requests import Requests
from service.generation.row import Row
from service.generation.sampling import RowSampler
from service.generation.sources import check_source


class Admission:
    """`stop`: tokens that end every answer, beside those that a request names."""

    def __init__(
        self,
        limits: EngineLimits,
        vocabulary: int,
        stop: frozenset[int],
        requests: Requests,
        ledger: KvLedger,
        prefixes: PrefixCache,
        drain: DrainRate,
    ) -> None:
        self._limits = limits
        self._vocabulary = vocabulary
        self._stop = stop
        self._requests = requests
        self._ledger = ledger
        self._prefixes = prefixes
        self._drain = drain
        self._context_tokens = min(limits.context_tokens, ledger.total_tokens)

    def admit(
        self, request_id: int, request: GenerationRequest, now: float, matcher: Matcher | None
    ) -> None:
        """Queue a request, perhaps in the place of a less important one. Raises BadRequest, QueueFull."""
        row = self._row(request_id, request, now, matcher)
        waiting = len(self._requests.waiting)
        if waiting >= self._limits.max_waiting:
            self._make_room(row.level)
        if not waiting:
            self._drain.emptied()
        self._requests.add(row)

    def _row(
        self, request_id: int, request: GenerationRequest, now: float, matcher: Matcher | None
    ) -> Row:
        prompt = np.array(request.prompt_ids, np.int64)
        self._check(prompt, request)
        params = request.sampling
        limit = min(params.max_tokens, self._context_tokens - len(prompt))
        if self._limits.source_tokens:
            check_source(request, len(prompt) + limit, self._limits, self._ledger)
        elif request.source_ids or params.num_beams > 1:
            raise BadRequest("source_ids and num_beams are for encoder–decoder models only")
        seed = int.from_bytes(os.urandom(8)) if params.seed is None else params.seed
        if params.constraint is not None and matcher is None:
            raise BadRequest("this model has no tokenizer that answers could be constrained with")
        stop = frozenset() if params.ignore_stop else self._stop.union(params.stop_token_ids)
        stop = frozenset(token for token in stop if token < self._vocabulary)
        deadline_s = math.inf if request.deadline_s is None else now + request.deadline_s
        return Row(
            request_id=request_id,
            prompt=prompt,
            limit=limit,
            sampler=RowSampler(params, seed, request.prompt_ids, stop, matcher),
            stop=stop,
            reserved_tokens=len(prompt) + limit,
            places=params.num_beams,
            source=np.array(request.source_ids, np.int64) if request.source_ids else None,
            level=self._limits.level_of(request.priority),
            arrived_s=now,
            deadline_s=deadline_s,
            prompt_logprobs=request.prompt_logprobs,
            prefix_names=self._prefixes.names(prompt, request.cache_salt),
        )

    def _check(self, prompt: np.ndarray, request: GenerationRequest) -> None:
        # ONNX Runtime wraps negative ids silently and fails the whole step on large ones.
        for token in (int(prompt.min()), int(prompt.max())):
            if not 0 <= token < self._vocabulary:
                raise BadRequest(
                    f"token id {token} is outside the model's vocabulary of {self._vocabulary}"
                )
        for token, _ in request.sampling.logit_bias:
            if token >= self._vocabulary:
                raise BadRequest(
                    f"logit_bias: token {token} is outside the vocabulary of {self._vocabulary}"
                )
        if len(prompt) < self._context_tokens:
            return
        if self._context_tokens == self._limits.context_tokens:
            raise BadRequest(
                f"the prompt has {len(prompt)} tokens; this model takes at most "
                f"{self._context_tokens - 1} and one for the answer"
            )
        needed, total = self._ledger.bytes_of(len(prompt) + 1), self._ledger.total_bytes
        raise BadRequest(
            f"the prompt has {len(prompt)} tokens, whose keys and values take {needed:,} bytes; "
            f"this server gives the model {total:,}, for {self._context_tokens - 1} prompt tokens"
        )

    def _make_room(self, level: int) -> None:
        """The newest of the least important requests gives its place to a more important one."""
        waiting = self._requests.waiting
        victim = waiting.newest_below(level)
        refusal = QueueFull(
            f"{len(waiting)} requests are waiting for this model; try again later",
            self._drain.retry_after_s(len(waiting)),
        )
        if victim is None:
            raise refusal
        self._requests.refuse(victim, refusal, "displaced")
