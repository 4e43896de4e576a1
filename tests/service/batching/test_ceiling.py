"""After a batch ran out of memory the next ones are smaller, for a while."""

import asyncio
import math

import numpy as np
import pytest

from models.errors import OutOfMemory
from service.batching.batcher import BatchLimits
from service.batching.ceiling import MemoryCeiling
from service.workers.base import Arrays, RunResult
from tests.service.batching.test_batcher import Runner, item, make, rows
from tests.service.loops import in_loop, until


class Small(Runner):
    """A device that holds so many rows."""

    most_rows = 4

    async def __call__(self, inputs: Arrays) -> RunResult:
        result = await super().__call__(inputs)
        if len(inputs["x"]) > self.most_rows:
            raise OutOfMemory
        return result


def test_half_of_what_did_not_fit_then_twice_as_much_every_minute() -> None:
    ceiling = MemoryCeiling()
    assert ceiling.most_work(0.0) == math.inf
    ceiling.ran_out(64.0, 100.0)
    assert [ceiling.most_work(100.0 + s) for s in (0, 59, 60, 120)] == [32, 32, 64, math.inf]
    assert ceiling.most_work(100.0) == math.inf, "forgotten"


def test_what_does_not_fit_in_parts_either_halves_again() -> None:
    ceiling = MemoryCeiling()
    for work in (64.0, 32.0, 16.0):
        ceiling.ran_out(work, 0.0)
    assert ceiling.most_work(0.0) == 8.0
    ceiling.ran_out(8.0, 61.0)
    assert ceiling.most_work(61.0) == 4.0


@in_loop
async def test_everyone_is_answered_and_the_next_batches_fit() -> None:
    runner = Small()
    runner.gate.clear()
    batcher = make(runner, BatchLimits(max_batch_size=8, max_queue_rows=64, max_queue_delay_s=1e-4))
    asked = [asyncio.ensure_future(batcher.submit(item(value))) for value in range(32)]
    await until(lambda: runner.sizes == [8])
    runner.gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer["y"].tolist() for answer in answers] == [[2.0 * v] * 2 for v in range(32)]
    assert [size for size in runner.sizes if size > 4] == [8], "the lesson is learnt once"
    await batcher.close()


@in_loop
async def test_a_request_that_does_not_fit_is_refused_and_its_next_try_is_run_in_parts() -> None:
    runner = Small()
    batcher = make(runner, BatchLimits(max_batch_size=8, max_queue_rows=64, max_queue_delay_s=1e-4))
    given = rows(*range(8))
    with pytest.raises(OutOfMemory):
        await batcher.submit_rows(given, 8)
    answer = await batcher.submit_rows(given, 8)
    np.testing.assert_array_equal(answer["y"], 2 * given["x"])
    assert runner.sizes == [8, 4, 4]
    await batcher.close()
