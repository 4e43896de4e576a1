"""Batching never makes anything slower: closed loops of callers, run times as they were measured on CPUs
and supposed for a GPU, in simulated time. The bound is what the workers do when fed one by one."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.manifest import Manifest
from service.batching.batcher import Batcher, BatchLimits
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.batching.test_batcher import text_manifest
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

Seconds = Callable[[int, int], float]
"""(rows, length) → seconds of a run."""

TRIP_S = 0.0002
LIMITS = BatchLimits(max_batch_size=32, max_queue_rows=512, concurrency=2)


def minilm(rows: int, length: int) -> float:
    """MiniLM-L6 on one CPU thread, within 5 % of what was measured (see `service.batching.cost`): a fixed
    part, a part per token, and caches that overflow."""
    tokens = rows * length
    overflow = 1 + 0.06 * min(1.0, max(0.0, (tokens - 512) / 1024))
    return (0.0013 + 0.000128 * tokens) * overflow


def on_gpu(rows: int, length: int) -> float:
    return 0.003 + 0.000005 * rows * length


def resnet50(rows: int, length: int) -> float:
    return 0.023 * rows * (1.02 if rows > 1 else 1.0)


def perceptron(rows: int, length: int) -> float:
    return 0.00003 + 0.000003 * rows


@dataclass
class Load:
    """`callers` in a closed loop over `workers`; each request as long as `length` says."""

    seconds: Seconds
    manifest: Manifest
    length: Callable[[random.Random], int]
    callers: int
    limits: BatchLimits = LIMITS
    requests: int = 900
    noise: float = 0.1
    batches: list[int] = field(default_factory=list)
    latencies_s: list[tuple[int, float]] = field(default_factory=list)

    def ratio(self) -> float:
        """Throughput over what the workers would do one request at a time, without any trips."""
        return run_virtually(self._play())

    async def _play(self) -> float:
        loop, chance = asyncio.get_running_loop(), random.Random(7)
        done, bound_s, began = 0, 0.0, loop.time()
        learned = self.requests // 5

        async def run(inputs: Arrays) -> RunResult:
            rows, length = inputs["x"].shape
            took_s = self.seconds(rows, length) * chance.uniform(1 - self.noise, 1 + self.noise)
            self.batches.append(rows)
            await asyncio.sleep(took_s + TRIP_S)
            return RunResult({"y": inputs["x"]}, took_s)

        batcher = Batcher(run, self.manifest, self.limits, ModelMeters("m", 1), loop.time)

        async def call() -> None:
            nonlocal done, bound_s, began
            while done < self.requests:
                length = self.length(chance)
                asked = loop.time()
                await batcher.submit(self._item(length))
                self.latencies_s.append((length, loop.time() - asked))
                done += 1
                if done == learned:
                    began, bound_s = loop.time(), 0.0
                bound_s += self.seconds(1, length)

        await asyncio.gather(*(call() for _ in range(self.callers)))
        elapsed_s = loop.time() - began
        await batcher.close()
        return bound_s / self.limits.concurrency / elapsed_s

    def _item(self, length: int) -> Arrays:
        if len(self.manifest.inputs) == 1:
            return {"x": np.zeros(length, np.float32)}
        return {"x": np.ones(length, np.int64), "mask": np.ones(length, np.int64)}


def tokens_of_4_to_120_words(chance: random.Random) -> int:
    return 2 + int(chance.randint(4, 120) * 1.3)


def texts(seconds: Seconds, callers: int, limits: BatchLimits = LIMITS) -> Load:
    return Load(seconds, text_manifest(), tokens_of_4_to_120_words, callers, limits)


def vectors(seconds: Seconds, callers: int) -> Load:
    return Load(seconds, vector(2), lambda _: 2, callers)


@pytest.mark.parametrize("callers", [2, 4, 32, 64])
def test_mixed_texts_on_a_cpu_are_as_fast_as_one_by_one(callers: int) -> None:
    assert texts(minilm, callers).ratio() > 0.93


def test_mixed_texts_on_a_gpu_are_several_times_as_fast() -> None:
    one = BatchLimits(max_batch_size=32, max_queue_rows=512, concurrency=1)
    assert texts(on_gpu, 64, one).ratio() > 3.0


@pytest.mark.parametrize("callers", [2, 8, 16])
def test_a_convolutional_network_keeps_all_workers_busy_and_is_not_batched(callers: int) -> None:
    load = vectors(resnet50, callers)
    assert load.ratio() > 0.93
    assert np.mean(load.batches[len(load.batches) // 2 :]) < 1.2


def test_a_small_network_is_batched_as_far_as_callers_allow() -> None:
    load = vectors(perceptron, 64)
    assert load.ratio() > 0.25, "one trip of 0.2 ms a request would be 0.07"
    assert np.mean(load.batches[len(load.batches) // 2 :]) > 20


def test_a_long_text_among_short_ones_does_not_hold_them_up() -> None:
    def short_or_long(chance: random.Random) -> int:
        return 500 if chance.random() < 0.02 else chance.randint(8, 16)

    def p90_s(load: Load) -> float:
        load.ratio()
        return float(np.quantile([s for length, s in load.latencies_s if length < 100], 0.9))

    alone = Load(minilm, text_manifest(), lambda chance: chance.randint(8, 16), 8)
    mixed = Load(minilm, text_manifest(), short_or_long, 8)
    assert p90_s(mixed) <= 2 * p90_s(alone)
