"""Continuous batching: requests join, advance and leave one shared decode batch at every step.

Called by host.py, from one thread, in a loop: `submit` and `cancel` between steps, then `step`. A step
admits at most one waiting request into the prefill lane, feeds it one chunk, decodes one token for every
running row, and closes the gaps of the rows that ended.

Invariants, which the tests assert after every step (n = len(rows)):
 1. rows [0, n) decode; row n is the lane while a request is prefilled; rows above are free.
 2. of a decode row `cache.lengths` = prompt + answer − 1 and `cache.ids` = its last token, which is not
    cached yet; of the lane `fed` prompt tokens are cached.
 3. cache positions at or after those lengths are garbage and never read, so a failed run leaves nothing
    to undo.
 4. a row never outgrows the cache: admission bounds prompt + answer by the context.
 5. a request's tokens depend on the request alone, not on its row, its neighbours or its chunks.

Not promised: which of two waiting requests with the same arrival goes first, or any deadline.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from service.batching.drain import DrainRate
from service.errors import BadRequest, InferenceFailed, QueueFull
from service.generation.cache import SlotCache
from service.generation.graph import DecoderGraph
from service.generation.request import FinishReason, GenerationEvent, GenerationRequest
from service.generation.sampling import Choice, RowSampler, sample

_log = logging.getLogger(__name__)

Events = list[tuple[int, GenerationEvent]]


@dataclass(frozen=True)
class EngineLimits:
    """`context_tokens`: prompt and answer of one request together, and the length of a cache row.

    `slots` bounds the rows that run at once (memory: slots × context), `max_waiting` the requests
    queued behind them; more are refused. `prefill_chunk_tokens` trades the first token of a long
    prompt against the pauses it causes for running rows: measured on a 124M decoder, 64 keeps the
    worst pause at a fifth of feeding 400 tokens at once, for a fifth more time to first token.
    """

    context_tokens: int
    slots: int = 8
    max_waiting: int = 128
    prefill_chunk_tokens: int = 64

    def __post_init__(self) -> None:
        assert self.context_tokens >= 2
        assert self.slots >= 1
        assert self.max_waiting >= 1
        assert self.prefill_chunk_tokens >= 2, "the kernel takes another path for single tokens"


@dataclass(eq=False)
class Row:
    """One admitted request. `answered` counts its tokens so far, `fed` its cached prompt tokens."""

    request_id: int
    prompt: np.ndarray[tuple[int], np.dtype[np.int64]]
    limit: int
    sampler: RowSampler
    stop: frozenset[int]
    answered: int = 0
    fed: int = 0
    ended: bool = False


class SlotEngine:
    """The schedule over one SlotCache. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        graph: DecoderGraph,
        limits: EngineLimits,
        stop_token_ids: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stop_token_ids` end every answer, beside those that a request names. `clock`: to measure how
        fast the queue empties."""
        self.limits = limits
        self.stop = frozenset(stop_token_ids)
        self.vocabulary = graph.vocabulary
        self.cache = SlotCache(graph, limits.slots, limits.context_tokens)
        self.rows: list[Row] = []
        self.lane: Row | None = None
        self.waiting: deque[Row] = deque()
        self._events: Events = []
        self._drain = DrainRate()
        self._clock = clock

    @property
    def is_idle(self) -> bool:
        """True when `step` would do nothing and report nothing."""
        return not (self.rows or self.lane or self.waiting or self._events)

    def submit(self, request_id: int, request: GenerationRequest) -> None:
        """Queue a request; `request_id` is free again after its last event.

        Raises BadRequest for ids outside the vocabulary or a prompt that leaves no room for an
        answer, QueueFull when too many wait. An answer is cut to what the context holds.
        """
        prompt = np.array(request.prompt_ids, np.int64)
        highest = int(prompt.max())
        # ONNX Runtime wraps negative ids silently and fails the whole step on large ones.
        if highest >= self.vocabulary or prompt.min() < 0:
            raise BadRequest(
                f"token id {highest} is outside the model's vocabulary of {self.vocabulary}"
            )
        room = self.limits.context_tokens - len(prompt)
        if room < 1:
            raise BadRequest(
                f"the prompt has {len(prompt)} tokens; this model takes at most "
                f"{self.limits.context_tokens - 1} and one for the answer"
            )
        waiting = len(self.waiting)
        if waiting >= self.limits.max_waiting:
            raise QueueFull(
                f"{waiting} requests are waiting for this model; try again later",
                self._drain.retry_after_s(waiting),
            )
        if not waiting:
            self._drain.emptied()
        params = request.sampling
        seed = int.from_bytes(os.urandom(8)) if params.seed is None else params.seed
        self.waiting.append(
            Row(
                request_id=request_id,
                prompt=prompt,
                limit=min(params.max_tokens, room),
                sampler=RowSampler(params, seed),
                stop=self.stop | frozenset(params.stop_token_ids),
            )
        )

    def cancel(self, request_id: int) -> None:
        """End a request with "cancelled"; unknown or ended ones are ignored (the race is normal)."""
        for row in self._active():
            if row.request_id == request_id:
                self._end(row, "cancelled")
        self._forget_ended()

    def fail_all(self, message: str) -> Events:
        """End every request with an error; for the owner of a step that raised."""
        for row in self._active():
            if not row.ended:
                self._fail(row, message)
        self._forget_ended()
        return self._take_events()

    def step(self) -> Events:
        """Advance everything by one token or chunk; what happened, in order."""
        if self.lane is None and self.waiting and len(self.rows) < self.limits.slots:
            self.lane = self.waiting.popleft()
            self._drain.taken(1, self._clock(), is_saturated=bool(self.waiting))
        if self.lane is not None:
            self._prefill(self.lane)
        if self.rows:
            self._decode()
        return self._take_events()

    def _active(self) -> list[Row]:
        lane = (self.lane,) if self.lane is not None else ()
        return [*self.rows, *lane, *self.waiting]

    def _take_events(self) -> Events:
        events, self._events = self._events, []
        return events

    def _forget_ended(self) -> None:
        self.waiting = deque(row for row in self.waiting if not row.ended)
        self._close_gaps()

    def _prefill(self, row: Row) -> None:
        """Feed one chunk; after the last, sample the first token and let the row join the batch."""
        remaining = len(row.prompt) - row.fed
        size = self.limits.prefill_chunk_tokens
        # Never leave a chunk of one token: the kernel computes single tokens on another path, and
        # the answer would depend (slightly) on the chunk size.
        size = remaining if remaining <= size + 1 else size
        place = len(self.rows)
        try:
            logits = self.cache.feed(place, row.fed, row.prompt[row.fed : row.fed + size])
        except Exception:  # a bad run spoils nobody's cache: this request is told
            _log.exception("prefill failed")
            self._fail(row, "the model failed on this prompt")
            self.lane = None
            return
        row.fed += size
        if row.fed < len(row.prompt):
            return
        self.lane = None
        [choice] = sample(logits[np.newaxis], [(row.sampler, 0)])
        self.rows.append(row)
        self.cache.lengths[place] = (
            row.fed - 1
        )  # _accept counts the prompt's last token as just fed
        self._accept(place, choice)
        self._close_gaps()

    def _decode(self) -> None:
        """One token for every row, in one run over the prefix of the cache."""
        count = len(self.rows)
        try:
            logits = self.cache.decode(count)
        except Exception:  # somebody's row broke the run: the rows are tried alone to find whose
            _log.exception("decoding %d rows failed; decoding them one by one", count)
            logits = self._decode_apart(count)
        choices = sample(logits, [(row.sampler, row.answered) for row in self.rows])
        for index, choice in enumerate(choices):
            if not self.rows[index].ended:
                self._accept(index, choice)
        self._close_gaps()

    def _decode_apart(self, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """The same step row by row: equal logits, since the kernels are batch-invariant."""
        logits = np.zeros((count, self.vocabulary), np.float32)
        for index, row in enumerate(self.rows):
            cached = int(self.cache.lengths[index])
            try:
                logits[index] = self.cache.feed(index, cached, self.cache.ids[index])
            except Exception:  # this row is the culprit: it fails, the others keep their token
                _log.exception("decoding one row failed")
                self._fail(row, "the model failed while answering this request")
        return logits

    def _accept(self, index: int, choice: Choice | None) -> None:
        """Book the token that a row's run has chosen; the row may end with it."""
        row = self.rows[index]
        if choice is None:
            self._fail(row, "the model gave numbers that are not finite for this request")
            return
        self.cache.lengths[index] += 1
        self.cache.ids[index] = choice.token
        if choice.token in row.stop:
            self._end(row, "stop")
            return
        row.answered += 1
        reason: FinishReason | None = "length" if row.answered == row.limit else None
        row.ended = reason is not None
        logprobs = (choice.logprobs,) if choice.logprobs else ()
        event = GenerationEvent((choice.token,), reason, logprobs=logprobs)
        self._events.append((row.request_id, event))

    def _fail(self, row: Row, message: str) -> None:
        error = InferenceFailed(message)
        event = GenerationEvent(finish_reason="error", error=error.public, code=error.reason)
        row.ended = True
        self._events.append((row.request_id, event))

    def _end(self, row: Row, reason: FinishReason) -> None:
        row.ended = True
        self._events.append((row.request_id, GenerationEvent(finish_reason=reason)))

    def _close_gaps(self) -> None:
        """Move the last rows into the places of ended ones, then the lane behind them."""
        before = len(self.rows)
        for index in range(before - 1, -1, -1):
            if self.rows[index].ended:
                last = self.rows.pop()
                if index < len(self.rows):
                    source = len(self.rows)
                    self.cache.move(source, index, int(self.cache.lengths[source]))
                    self.rows[index] = last
        if self.lane is not None and self.lane.ended:
            self.lane = None
        if self.lane is not None and len(self.rows) < before:
            self.cache.move(before, len(self.rows), self.lane.fed)
