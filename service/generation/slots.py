"""Who sits in which row of the cache: joining, advancing by a token, and closing gaps.

Rows [0, n) decode together, so a run over them sees a plain prefix of the cache; row n is the lane, where
one prompt is being fed; what is above is free. A row that ends is overwritten by the last one, which costs
a copy of its cache: half a millisecond for a 124M decoder.
"""

from collections.abc import Sequence

import numpy as np

from models.errors import SlipwayError
from service.generation.cache import SlotCache
from service.generation.choosing import accept
from service.generation.ledger import KvLedger
from service.generation.requests import Requests
from service.generation.row import Row
from service.generation.sampling import Choice


class Slots:
    """`rows` decode, `lane` is fed; both hold only requests that have not ended, between steps."""

    def __init__(self, cache: SlotCache, requests: Requests, ledger: KvLedger) -> None:
        self.cache = cache
        self.rows: list[Row] = []
        self.lane: Row | None = None
        self._requests = requests
        self._ledger = ledger
        self._touched = np.zeros(cache.rows, np.int64)  # positions that may be committed, per place

    @property
    def count(self) -> int:
        return len(self.rows) + (self.lane is not None)

    @property
    def committed_bytes(self) -> int:
        """Of the cache, at most: places keep the memory that the longest request so far made them touch."""
        return int(self._touched.sum()) * self._ledger.token_bytes

    def take_places(self, rows: Sequence[Row]) -> None:
        """Requests whose memory is reserved are going to be fed behind those that decode."""
        assert self.lane is None
        assert len(self.rows) + len(rows) <= self.cache.rows
        first = len(self.rows)
        wanted = sum(self._ledger.whole_pages(row.reserved_tokens) for row in rows)
        if int(self._touched.sum()) + wanted > self._ledger.total_tokens:
            self._give_back()
        for place, row in enumerate(rows, first):
            self._touch(place, row)

    def join(self, row: Row) -> int:
        """A row whose prompt is cached at the next place decodes from now on; its place."""
        place = len(self.rows)
        self.rows.append(row)
        # The prompt's last token waits to be fed, or has just been: `accept` counts it.
        self.cache.lengths[place] = row.fed - 1
        self.cache.ids[place] = row.prompt[-1]
        return place

    def accept(self, index: int, choice: Choice | SlipwayError) -> None:
        """Book the token that a row's run has chosen, or why there is none; the row may end with it, and
        is then still there until `close_gaps`."""
        row = self.rows[index]
        if isinstance(choice, SlipwayError):
            self._requests.refuse(row, choice, "error")
            return
        self.cache.lengths[index] += 1
        self.cache.ids[index] = choice.token
        if choice.logprobs is not None:
            row.log_probability += choice.logprobs.logprob
            row.scored += 1
        if choice.token in row.stop:
            self._requests.end(row, "stop")
            return
        error = accept(row, choice.token)
        if error is not None:
            self._requests.refuse(row, error, "error")
            return
        row.answered += 1
        row.answer.append(choice.token)
        self._requests.answer(row, choice)

    def close_gaps(self) -> None:
        """Move the last rows into the places of ended ones, then the lane behind them."""
        before = len(self.rows)
        for index in range(before - 1, -1, -1):
            if self.rows[index].ended:
                last = self.rows.pop()
                if index < len(self.rows):
                    self._move(last, len(self.rows), index, int(self.cache.lengths[len(self.rows)]))
                    self.rows[index] = last
        if self.lane is not None and self.lane.ended:
            self.lane = None
        if self.lane is not None and len(self.rows) < before:
            self._move(self.lane, before, len(self.rows), self.lane.fed)
        if len(self.rows) < before and int(self._touched.sum()) > self._ledger.total_tokens:
            self._give_back()

    def _move(self, row: Row, source: int, target: int, length: int) -> None:
        self.cache.move(source, target, length)
        self._touch(target, row)

    def _touch(self, place: int, row: Row) -> None:
        tokens = self._ledger.whole_pages(row.reserved_tokens)
        self._touched[place] = max(self._touched[place], tokens)

    def _give_back(self) -> None:
        """Memory that only ended requests needed goes back to the system: what is left is reserved."""
        for place in range(self.cache.rows):
            kept = self._kept_tokens(place)
            if self._touched[place] > kept:
                self.cache.give_back(place, kept)
                self._touched[place] = kept

    def _kept_tokens(self, place: int) -> int:
        occupants = self.rows if self.lane is None else [*self.rows, self.lane]
        if place >= len(occupants):
            return 0
        return self._ledger.whole_pages(occupants[place].reserved_tokens)
