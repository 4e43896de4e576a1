"""Whatever arrives, leaves, fails or expires in whatever order: one outcome each, and the right one."""

import asyncio
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SlipwayError
from service.batcher import Batcher, BatchLimits
from service.errors import InputRefused, QueueFull, WorkerLost
from service.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.manifests import vector

POISON = -1.0


@dataclass(frozen=True)
class Arrival:
    """A request of `rows` rows; it comes after `pause` turns of the loop and may leave again."""

    rows: int
    pause: int
    leaves: bool
    is_poisoned: bool
    is_late: bool


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        rows=st.integers(1, 9),
        pause=st.integers(0, 3),
        leaves=st.sampled_from([False, False, False, True]),
        is_poisoned=st.sampled_from([False, False, False, False, True]),
        is_late=st.sampled_from([False, False, False, False, True]),
    ),
    max_size=25,
)


class Worker:
    """Takes a few turns of the loop, loses itself on chosen runs, refuses poison."""

    def __init__(self, losses: set[int]) -> None:
        self.losses = losses
        self.runs = 0
        self.largest = 0

    async def __call__(self, inputs: Arrays) -> RunResult:
        self.runs += 1
        number, array = self.runs, inputs["x"]
        self.largest = max(self.largest, len(array))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        if number in self.losses:
            raise WorkerLost("gone")
        if (array == POISON).any():
            raise InputRefused("poison")
        return RunResult({"y": array * 2}, 0.0)


async def play(arrivals: list[Arrival], worker: Worker, limits: BatchLimits) -> None:
    now = [100.0]
    batcher = Batcher(worker, vector(2), limits, ModelMeters("m", 1), lambda: now[0])
    accepted: list[tuple[Arrival, float, asyncio.Future[Arrays]]] = []
    for number, arrival in enumerate(arrivals):
        for _ in range(arrival.pause):
            await asyncio.sleep(0)
        value = POISON if arrival.is_poisoned else float(number + 1)
        inputs = {"x": np.full((arrival.rows, 2), value, np.float32)}
        deadline = now[0] + 0.5 if arrival.is_late else None
        try:
            future = batcher.submit_rows(inputs, arrival.rows, deadline=deadline)
        except QueueFull:
            continue
        accepted.append((arrival, value, future))
        if arrival.leaves:
            future.cancel()
        if arrival.is_late:
            now[0] += 1.0
    await batcher.close()
    assert worker.largest <= limits.max_batch_size
    for arrival, value, future in accepted:
        check(arrival, value, future)
    assert batcher.pending_rows == 0


def check(arrival: Arrival, value: float, future: "asyncio.Future[Arrays]") -> None:
    assert future.done(), "an accepted request without an outcome"
    if future.cancelled():
        assert arrival.leaves
        return
    error = future.exception()
    if error is not None:
        assert isinstance(error, SlipwayError)
        return
    assert not arrival.is_poisoned
    answer = future.result()["y"]
    assert answer.shape == (arrival.rows, 2)
    assert (answer == 2 * value).all(), "somebody else's answer"


@settings(max_examples=150, deadline=None)
@given(
    ARRIVALS,
    st.sets(st.integers(1, 12), max_size=3),
    st.integers(1, 8),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.001]),
)
def test_every_accepted_request_gets_one_outcome_and_its_own_answer(
    arrivals: list[Arrival], losses: set[int], batch: int, concurrency: int, delay_s: float
) -> None:
    limits = BatchLimits(
        max_batch_size=batch,
        max_queue_rows=24,
        concurrency=concurrency,
        max_queue_delay_s=delay_s,
    )
    asyncio.run(play(arrivals, Worker(losses), limits))
