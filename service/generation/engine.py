"""Continuous batching: requests join, advance and leave one shared decode batch at every step.

Called by host.py, from one thread, in a loop: `submit` and `cancel` between steps, then `step`, which ends
requests whose time is over, admits and reads at most one chunk of prompts (`prefill`), and advances every
running row by a token (`decode`). Where an encoder reads a source, `encode` stands in for prefill: rows
join without a lane, at once. `slots` knows who sits where and closes gaps, `requests` who is told what.

Invariants, which the tests assert after every step (n = number of rows):
 1. rows [0, n) decode; row n is the lane while a request is prefilled; rows above are free.
 2. of a decode row `cache.lengths` = prompt + answer − 1 and `cache.ids` = its last token, which is not
    cached yet; of the lane `fed` prompt tokens are cached.
 3. cache positions at or after those lengths are garbage and never read, so a failed run leaves nothing
    to undo.
 4. a row never outgrows the cache: admission bounds prompt + answer by the context.
 5. a request's tokens depend on the request alone, not on its row, its neighbours or its chunks.
 6. the rows of a beam search (`beams`) are rows like any other; their request's places are reserved.
 7. what running requests may come to need is reserved, and never more than there is: none is preempted.
"""

import time
from collections.abc import Callable, Iterable

from service.batching.drain import DrainRate
from service.generation.admission import Admission
from service.generation.cache import SlotCache
from service.generation.decode import Decode
from service.generation.encode import Encode
from service.generation.encoder_graph import EncoderGraph
from service.generation.graph import DecoderGraph
from service.generation.ledger import KvLedger
from service.generation.limits import EngineLimits
from service.generation.logits_processors import Matcher
from service.generation.prefill import Prefill
from service.generation.prefix_cache import PrefixCache
from service.generation.request import GenerationRequest
from service.generation.requests import Events, Requests
from service.generation.row import Row
from service.generation.slots import Slots
from service.generation.stats import EngineStats
from service.generation.waiting import WaitingQueue


class SlotEngine:
    """The schedule over one SlotCache. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        graph: DecoderGraph,
        limits: EngineLimits,
        stop_token_ids: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
        model_id: str = "",
        encoder: EncoderGraph | None = None,
    ) -> None:
        """`stop_token_ids` end every answer, beside those that a request names. `clock`: for deadlines,
        and to measure how fast the queue empties. `model_id`: what cached prefixes belong to.
        `encoder`: of an encoder–decoder, whose decoder `graph` is."""
        assert (encoder is not None) == graph.reads_source == (limits.source_tokens > 0)
        self.limits = limits
        self._clock = clock
        self._stats = EngineStats()
        self._drain = DrainRate()
        self.ledger = KvLedger.of(graph, limits)
        context_tokens = min(limits.context_tokens, self.ledger.total_tokens)
        self.cache = SlotCache(graph, limits.slots, context_tokens, limits.source_tokens)
        self.prefixes = PrefixCache(limits.prefix_cache_bytes, model_id)
        self.waiting = WaitingQueue()
        self.requests = Requests(self.waiting, self.ledger, self._stats, clock)
        self.slots = Slots(self.cache, self.requests, self.ledger)
        shared = (self.requests, self.ledger, self.prefixes)
        stop = frozenset(stop_token_ids)
        self._admission = Admission(limits, graph.vocabulary, stop, *shared, self._drain)
        measured = (self._stats, self._drain, clock)
        self._prefill: Prefill | Encode
        if encoder is None:
            self._prefill = Prefill(limits, self.slots, *shared, *measured)
        else:
            self._prefill = Encode(
                encoder, limits, self.slots, self.requests, self.ledger, *measured
            )
        self._decode = Decode(limits, self.slots, self.requests, self._stats)

    @property
    def kv_total_bytes(self) -> int:
        """Of keys and values, what all requests together may come to need."""
        return self.ledger.total_bytes + self.limits.slots * self.ledger.source_bytes

    @property
    def rows(self) -> list[Row]:
        """Those that decode, in the order of the cache."""
        return self.slots.rows

    @property
    def lane(self) -> Row | None:
        return self.slots.lane

    @property
    def is_idle(self) -> bool:
        """True when `step` would do nothing and report nothing."""
        return not (len(self.requests) or self.requests.has_news)

    def submit(
        self, request_id: int, request: GenerationRequest, matcher: Matcher | None = None
    ) -> None:
        """Queue a request; `request_id` is free again after its last event. `matcher`: of its constraint,
        compiled for it alone.

        Raises BadRequest for ids outside the vocabulary or a prompt that leaves no room for an
        answer, QueueFull when too many wait. An answer is cut to what the context holds.
        """
        self._admission.admit(request_id, request, self._clock(), matcher)

    def cancel(self, request_id: int) -> None:
        """End a request with "cancelled"; unknown or ended ones are ignored (the race is normal)."""
        row = self.requests.find(request_id)
        if row is not None:
            self.requests.end(row, "cancelled")
            self.slots.close_gaps()

    def fail_all(self, message: str) -> Events:
        """End every request with an error; for the owner of a step that raised."""
        for row in self.requests.all():
            self.requests.fail(row, message)
        self.slots.close_gaps()
        return self.requests.take_events()

    def step(self) -> Events:
        """Advance everything by one token or chunk; what happened, in order."""
        began = time.perf_counter()
        for row in self.requests.out_of_time(self._clock()):
            self.requests.end(row, "deadline")
            self.slots.close_gaps()
        if self.waiting or self.slots.lane is not None:
            self._prefill.advance()
        if self.slots.rows:
            self._decode.advance()
        self._stats.steps += 1
        self._stats.step_s += time.perf_counter() - began
        return self.requests.take_events()

    def take_stats(self) -> EngineStats:
        """Counts since the last call, and the gauges of this moment."""
        return self._stats.take(
            running=self.slots.count,
            waiting=len(self.waiting),
            slots=self.limits.slots,
            kv_reserved_bytes=self.ledger.reserved_bytes
            + self.ledger.places * self.ledger.source_bytes,
            kv_total_bytes=self.kv_total_bytes,
            prefix_cache_bytes=self.prefixes.size_bytes,
        )
