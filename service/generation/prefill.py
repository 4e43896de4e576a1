"""Reading prompts: from the head of the queue into the lane, a chunk a step, then into the decode batch.

One stage of `engine.step`. At most `prefill_chunk_tokens` are read in a step, so that running rows pause no
longer than that takes. Short prompts of similar length are read together, padded on the right, where that
pays: on a 124M decoder eight prompts of 16 tokens took 203 ms instead of 426, but padding 9 … 31 tokens to
equal lengths cost more than it saved. The kernel takes several rows only from an empty cache, so prompts
whose beginning is cached, or that need chunks, go through the lane alone.
"""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.batching.drain import DrainRate
from service.generation.choosing import choose
from service.generation.ledger import KvLedger
from service.generation.limits import EngineLimits
from service.generation.prefix_cache import BLOCK_TOKENS, LEAST_REST_TOKENS, PrefixCache
from service.generation.ranking import token_logprobs
from service.generation.request import TokenLogprobs
from service.generation.requests import Requests
from service.generation.row import Row
from service.generation.slots import Slots
from service.generation.stats import EngineStats

_log = logging.getLogger(__name__)

_MOST_PADDING = 1.25  # padded over real tokens; above it, reading one after the other is as fast
_FAILED = "the model failed on this prompt"


class Prefill:
    """Not thread-safe, as everything of the engine."""

    def __init__(
        self,
        limits: EngineLimits,
        slots: Slots,
        requests: Requests,
        ledger: KvLedger,
        prefixes: PrefixCache,
        stats: EngineStats,
        drain: DrainRate,
        clock: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._slots = slots
        self._requests = requests
        self._ledger = ledger
        self._prefixes = prefixes
        self._stats = stats
        self._drain = drain
        self._clock = clock

    def advance(self) -> None:
        """Admit if the lane is free, then read one chunk, or several whole prompts."""
        if self._slots.lane is None:
            group = self._admit()
            if len(group) > 1:
                self._read_together(group)
            elif group:
                self._enter_lane(group[0])
        if self._slots.lane is not None:
            self._read_chunk(self._slots.lane)

    # -- admission --------------------------------------------------------------------------------

    def _admit(self) -> list[Row]:
        """The head of the queue, and those behind it that may be read with it; their memory is reserved."""
        group: list[Row] = []
        while (row := self._requests.waiting.head()) is not None:
            if len(self._slots.rows) + len(group) == self._limits.slots:
                break
            if not self._ledger.fits(row) or (group and not self._may_join(group, row)):
                break
            self._requests.waiting.pop()
            self._ledger.reserve(row)
            row.admitted_s = self._clock()
            group.append(row)
        if group:
            is_saturated = len(self._requests.waiting) > 0
            self._drain.taken(len(group), group[0].admitted_s, is_saturated=is_saturated)
            self._slots.take_places(group)
        return group

    def _may_join(self, group: list[Row], row: Row) -> bool:
        if not (self._is_short(group[0]) and self._is_short(row)):
            return False
        sizes = [len(member.prompt) for member in (*group, row)]
        padded = max(sizes) * len(sizes)
        return padded <= min(self._limits.prefill_chunk_tokens, _MOST_PADDING * sum(sizes))

    def _is_short(self, row: Row) -> bool:
        """May be read with others: 2 … tokens, nothing of it cached, nobody asks for its own scores."""
        size = len(row.prompt)
        return (
            2 <= size <= self._limits.prefill_chunk_tokens
            and row.prompt_logprobs is None
            and not self._prefixes.held_tokens(row.prefix_names, size)
        )

    # -- several prompts at once ------------------------------------------------------------------

    def _read_together(self, group: list[Row]) -> None:
        place = len(self._slots.rows)
        try:
            logits = self._slots.cache.feed_first(place, [row.prompt for row in group])
        except Exception:  # somebody's prompt broke the run: they are read alone to find whose
            _log.exception("reading %d prompts failed; reading them one by one", len(group))
            for row in group:
                self._slots.lane = row
                while self._slots.lane is not None:
                    self._read_chunk(row)
            return
        for row in group:
            row.fed = len(row.prompt)
            self._slots.join(row)
        for row, choice in zip(group, choose(group, logits), strict=True):
            self._finish(row, place)
            self._slots.accept(place, choice)
            place += 1
        self._slots.close_gaps()

    # -- one prompt, in chunks --------------------------------------------------------------------

    def _enter_lane(self, row: Row) -> None:
        self._slots.lane = row
        if row.prompt_logprobs is not None:
            return  # the scores of its beginning must be computed
        place, size = len(self._slots.rows), len(row.prompt)
        tensors = self._slots.cache.tensors
        row.fed = row.cached_tokens = self._prefixes.restore(row.prefix_names, size, tensors, place)
        if row.fed:
            self._stats.prefix_hits += 1
            self._stats.prefix_hit_tokens += row.fed
        elif row.prefix_names and size >= BLOCK_TOKENS + LEAST_REST_TOKENS:
            self._stats.prefix_misses += 1

    def _read_chunk(self, row: Row) -> None:
        """After the last chunk the first token is chosen and the row joins the decode batch."""
        place = len(self._slots.rows)
        tokens = row.prompt[row.fed : row.fed + self._chunk_size(row)]
        is_last = row.fed + len(tokens) == len(row.prompt)
        try:
            logits = self._run(place, row, tokens, is_last)
        except Exception:  # a bad run spoils nobody's cache: this request is told
            _log.exception("reading a prompt failed")
            self._requests.fail(row, _FAILED)
            self._slots.lane = None
            return
        row.fed += len(tokens)
        if not is_last:
            self._stats.prefill_tokens += len(tokens)
            return
        self._slots.lane = None
        self._slots.join(row)
        self._finish(row, place, len(tokens))
        [choice] = choose([row], logits[np.newaxis])
        self._slots.accept(place, choice)
        self._slots.close_gaps()

    def _run(
        self, place: int, row: Row, tokens: NDArray[np.int64], is_last: bool
    ) -> NDArray[np.float32]:
        """Logits [V] after the chunk; of a chunk that is not the last they are not computed."""
        cache = self._slots.cache
        if row.prompt_logprobs is not None:
            logits = cache.feed_scored(place, row.fed, tokens)
            row.prompt_scores += _scores(row, logits)
            last: NDArray[np.float32] = logits[-1]
            return last
        if is_last:
            return cache.feed(place, row.fed, tokens)
        cache.feed_silently(place, row.fed, tokens)
        return np.empty(0, np.float32)

    def _chunk_size(self, row: Row) -> int:
        """Never leaves a chunk of one token: the kernel computes single tokens on another path, and the
        answer would depend (slightly) on the chunk size."""
        remaining = len(row.prompt) - row.fed
        size = self._limits.prefill_chunk_tokens
        return remaining if remaining <= size + 1 else size

    def _finish(self, row: Row, place: int, tokens: int | None = None) -> None:
        """The prompt is in the cache: others may have its keys and values from now on."""
        self._stats.prefill_tokens += len(row.prompt) if tokens is None else tokens
        names = row.prefix_names
        if names:
            tensors = self._slots.cache.tensors
            self._stats.prefix_evictions += self._prefixes.store(names, tensors, place)


def _scores(row: Row, logits: NDArray[np.float32]) -> list[TokenLogprobs]:
    """Of the prompt tokens that follow each position of a chunk; the prompt's last has none."""
    assert row.prompt_logprobs is not None
    following = row.prompt[row.fed + 1 : row.fed + 1 + len(logits)]
    return [
        token_logprobs(line, int(token), row.prompt_logprobs)
        for line, token in zip(logits, following, strict=False)
    ]
