"""Reading sources: from the head of the queue through the encoder, then into the decode batch.

What prefill is to a decoder. A source is read at once, since every token of it sees every other; so a step
that admits pauses the running rows for one run of the encoder. Sources of one padded length are read
together (`encoder_graph`), up to `prefill_chunk_tokens` while others wait for their next token, and as
many as there are places for while none does. The answer's first token is fed by the next decode run.
"""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from service.batching.drain import DrainRate
from service.generation.beams import begin_search
from service.generation.encoder_graph import EncoderGraph, Source, padded_tokens
from service.generation.ledger import KvLedger
from service.generation.limits import EngineLimits
from service.generation.requests import Requests
from service.generation.row import Row
from service.generation.slots import Slots
from service.generation.stats import EngineStats

_log = logging.getLogger(__name__)

_FAILED = "the model failed on this text"


class Encode:
    """Not thread-safe, as everything of the engine."""

    def __init__(
        self,
        encoder: EncoderGraph,
        limits: EngineLimits,
        slots: Slots,
        requests: Requests,
        ledger: KvLedger,
        stats: EngineStats,
        drain: DrainRate,
        clock: Callable[[], float],
    ) -> None:
        self._encoder = encoder
        self._limits = limits
        self._slots = slots
        self._requests = requests
        self._ledger = ledger
        self._stats = stats
        self._drain = drain
        self._clock = clock

    def advance(self) -> None:
        """Admit, read and join as many as may in one step."""
        group = self._admit()
        if not group:
            return
        try:
            self._join(group, self._encoder.read([_source(row) for row in group]))
        except Exception:  # somebody's source broke the run: they are read alone to find whose
            _log.exception("reading %d sources failed; reading them one by one", len(group))
            for row in group:
                self._read_alone(row)

    def _admit(self) -> list[Row]:
        """The head of the queue, and those behind it that may be read with it; their memory and places
        are reserved."""
        group: list[Row] = []
        while (row := self._requests.waiting.head()) is not None:
            if self._ledger.places + row.places > self._limits.slots:
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
        return group

    def _may_join(self, group: Sequence[Row], row: Row) -> bool:
        width = padded_tokens(len(_source(row)))
        if width != padded_tokens(len(_source(group[0]))):
            return False
        tokens = width * (len(group) + 1)
        return not self._slots.rows or tokens <= self._limits.prefill_chunk_tokens

    def _read_alone(self, row: Row) -> None:
        try:
            self._join([row], self._encoder.read([_source(row)]))
        except Exception:  # this source is the culprit: its request is told
            _log.exception("reading a source failed")
            self._requests.fail(row, _FAILED)

    def _join(self, group: Sequence[Row], left: Sequence[Source]) -> None:
        """What the encoder left goes into the cache, and the rows decode from now on."""
        sound = []
        for row, source in zip(group, left, strict=True):
            self._stats.prefill_tokens += len(_source(row))
            if all(np.isfinite(side).all() for side in source):
                sound.append((row, source))
            else:  # zero times infinity would be no number, in the rows that come after it too
                self._requests.fail(row, "the model gave numbers that are not finite for this text")
        if not sound:
            return
        cache, longest = self._slots.cache, max(len(_source(row)) for row, _ in sound)
        cache.fit_source(len(self._slots.rows), longest)
        assert cache.source is not None
        for row, source in sound:
            row.fed = len(row.prompt)
            placed = row if row.places == 1 else begin_search(row)
            self._slots.take_places([placed])
            cache.source.write(self._slots.join(placed), source)


def _source(row: Row) -> np.ndarray:
    assert row.source is not None
    return row.source
