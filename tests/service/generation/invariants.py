"""The numbered invariants of the engine's docstring that its state can show; asserted after every step."""

import numpy as np

from service.generation.engine import SlotEngine


def assert_invariants(engine: SlotEngine) -> None:
    rows, lane, cache, ledger = engine.rows, engine.lane, engine.cache, engine.ledger
    active = rows if lane is None else [*rows, lane]
    assert len(active) <= engine.limits.slots
    for index, row in enumerate(rows):
        assert not row.ended
        assert cache.lengths[index] == len(row.prompt) + row.answered - 1
        assert cache.ids[index] == row.answer[-1]
        assert cache.lengths[index] + 1 <= cache.length
        assert row.fed == len(row.prompt)
        assert 1 <= row.answered < row.limit
    if lane is not None:
        assert not lane.ended
        assert lane.cached_tokens <= lane.fed < len(lane.prompt)
        assert len(lane.prompt) - lane.fed != 1 or lane.fed == 0
    waiting = list(engine.waiting)
    assert len(waiting) == len(engine.waiting) <= engine.limits.max_waiting
    assert not any(row.ended for row in waiting)
    assert len(engine.requests) == len(active) + len(waiting)
    reserved = sum(ledger.bytes_of(row.reserved_tokens) for row in active)
    assert reserved == ledger.reserved_bytes <= ledger.total_bytes
    assert engine.slots.committed_bytes <= ledger.total_bytes
    assert engine.prefixes.size_bytes <= engine.prefixes.capacity_bytes


def poison(engine: SlotEngine) -> None:
    """Make every cache position that must not be read one that would be noticed."""
    lengths = [int(engine.cache.lengths[index]) for index in range(len(engine.rows))]
    if engine.lane is not None:
        lengths.append(engine.lane.fed)
    lengths += [0] * (engine.limits.slots - len(lengths))
    for tensor in engine.cache.tensors:
        for place, length in enumerate(lengths):
            tensor[place, :, length:] = np.nan
