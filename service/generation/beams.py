"""Beam search in the slots: every beam a row that decodes with all the others.

The search itself, its order and its end, is `models.transforms.beams`, which measuring uses too. Here is
what it means for the cache. After each step some beams go on in several ways and others not at all: a
beam's first continuation keeps its place, the others take the places of beams that have died, or free
ones. Copied are only the positions behind those that two beams share, which nearly always is the most
recent of them; what the encoder left is the same in all places of a request and is copied to new ones
alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.errors import InferenceFailed, SlipwayError
from models.transforms.beams import BeamSearch
from models.transforms.scores import log_softmax
from service.generation.requests import Requests
from service.generation.row import Row
from service.generation.slots import Slots


@dataclass(eq=False)
class Beams:
    """`request` is whom to tell; `rows` hold places of the cache, in the order of `search.live`."""

    request: Row
    search: BeamSearch
    rows: list[Row]

    def end(self) -> None:
        for row in self.rows:
            row.ended = True


def begin_search(request: Row) -> Row:
    """The row of a search's first beam. From there it takes up to `request.places`."""
    params = request.sampler.params
    search = BeamSearch(params.num_beams, params.length_penalty, request.stop, request.limit)
    first = replace(request, places=1)
    request.beams = first.beams = Beams(request, search, [first])
    return first


class BeamStep:
    """A step of one search; the engine's decode stage has run the rows."""

    def __init__(self, slots: Slots, requests: Requests) -> None:
        self._slots = slots
        self._requests = requests

    def advance(self, beams: Beams, logits: NDArray[np.float32]) -> None:
        """logits [N, V], a line per place. The search may end with it; its rows are then still there
        until `close_gaps`."""
        places = {row: place for place, row in enumerate(self._slots.rows)}
        held = [places[row] for row in beams.rows]
        try:
            parents = beams.search.advance(_chances(beams, logits[held]))
        except SlipwayError as error:
            self._requests.refuse(beams.request, error, "error")
            return
        self._slots.cache.lengths[held] += 1  # their last tokens are cached now
        beams.request.answered += 1
        if beams.search.is_done:
            self._requests.found(beams.request, beams.search.ended)
        else:
            self._continue(beams, parents, places)

    def _continue(self, beams: Beams, parents: list[int], places: dict[Row, int]) -> None:
        """Give every live beam a place that holds what it continues."""
        before = beams.rows
        kept = set(parents)
        free = [row for number, row in enumerate(before) if number not in kept]
        after: list[Row] = []
        for parent in parents:
            if parent in kept:  # the first continuation stays
                kept.remove(parent)
                after.append(before[parent])
            else:
                after.append(self._copy(before[parent], free, places))
        for row in free:
            row.ended = True
        beams.rows = after
        cache = self._slots.cache
        for row, beam in zip(after, beams.search.live, strict=True):
            row.answer = list(beam.tokens)
            row.answered = len(beam.tokens)
            cache.ids[places[row]] = beam.tokens[-1]

    def _copy(self, source: Row, free: list[Row], places: dict[Row, int]) -> Row:
        """A row with what `source` has cached, in a free place or in one of the request's that are left.
        The answers are still those of the step before."""
        cache, begin = self._slots.cache, places[source]
        length = int(cache.lengths[begin])
        if free:
            row = free.pop()
            start = len(row.prompt) + _shared(row.answer, source.answer)
            cache.copy(begin, places[row], start, length)
            return row
        row = replace(source, answer=list(source.answer))
        self._slots.take_places([row])
        places[row] = self._slots.join(row)
        cache.move(begin, places[row], length)
        return row


def _chances(beams: Beams, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities [R, V] of every beam's next token. Raises InferenceFailed."""
    if not np.isfinite(logits.max(axis=1)).all():
        raise InferenceFailed("the model gave numbers that are not finite for this request")
    position, sampler = len(beams.search.live[0].tokens), beams.request.sampler
    return np.stack([sampler.shaped(line, position) for line in log_softmax(logits)])


def _shared(mine: list[int], other: list[int]) -> int:
    """How many tokens two answers begin with in common."""
    pairs = enumerate(zip(mine, other, strict=True))
    return next((at for at, (a, b) in pairs if a != b), len(mine))
