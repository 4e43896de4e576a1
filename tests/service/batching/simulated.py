"""Load in simulated time: closed loops of callers over workers whose runs cost what a function says.

Who forms the batches is the real batcher, or one of the two that it is measured by: one request at a time,
and all that waits padded to its longest. `python -m tests.service.batching.simulated` prints the comparison.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.manifest import Manifest
from service.batching.batcher import Batcher, BatchLimits
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.batching.test_batcher import text_manifest
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

Seconds = Callable[[int, int], float]
"""(rows, length) → seconds of a run."""

Lengths = Callable[[random.Random], int]
Submit = Callable[[int], Awaitable[object]]

TRIP_S = 0.0002
LIMITS = BatchLimits(max_batch_size=32, max_queue_rows=512, concurrency=2)


# -- what runs cost -----------------------------------------------------------------------------------


def minilm(rows: int, length: int) -> float:
    """MiniLM-L6 on one CPU thread, within 5 % of what was measured: a fixed part, a part per token, and
    caches that overflow."""
    tokens = rows * length
    overflow = 1 + 0.06 * min(1.0, max(0.0, (tokens - 512) / 1024))
    return (0.0013 + 0.000128 * tokens) * overflow


def minilm_int8(rows: int, length: int) -> float:
    """As measured with dynamic int8: batches of long texts cost more than the texts one by one."""
    tokens = rows * length
    overflow = 1 + 0.25 * min(1.0, max(0.0, (tokens - 384) / 1664))
    return (0.0008 + 0.000066 * tokens) * overflow


def on_gpu(rows: int, length: int) -> float:
    return 0.003 + 0.000005 * rows * length


def busy_gpu(rows: int, length: int) -> float:
    """Nothing costs less than the kernels' start, and from 4,096 tokens on work counts."""
    return max(0.004, 0.000001 * rows * length)


def long_attention(rows: int, length: int) -> float:
    """A small encoder for long texts: at 512 tokens attention costs four times as much as all else."""
    return 0.0006 + 0.00001 * rows * length * (1 + length / 128)


def tiles_of_tokens(rows: int, length: int) -> float:
    """A kernel that takes 64 tokens at a time."""
    return 0.0005 + 0.0016 * math.ceil(rows * length / 64)


def tiles_of_rows(rows: int, length: int) -> float:
    """An engine that computes four rows or a multiple of that."""
    return 0.00005 * length * 4 * math.ceil(rows / 4) / 2.5


def cliff(rows: int, length: int) -> float:
    """Beyond 256 tokens the cache overflows and everything costs twice as much."""
    tokens = rows * length
    return 0.002 + 0.00006 * tokens + 0.00006 * max(0, tokens - 256)


def no_gain(rows: int, length: int) -> float:
    return 0.0001 * rows * length


def worse_together(rows: int, length: int) -> float:
    """Each further row costs more than the one before."""
    return 0.0001 * length * math.pow(rows, 1.15)


def resnet50(rows: int, length: int) -> float:
    return 0.023 * rows * (1.02 if rows > 1 else 1.0)


def perceptron(rows: int, length: int) -> float:
    return 0.00003 + 0.000003 * rows


TEXT_COSTS: tuple[Seconds, ...] = (
    minilm, minilm_int8, on_gpu, busy_gpu, long_attention, tiles_of_tokens, tiles_of_rows, cliff,
    no_gain, worse_together,
)  # fmt: skip


# -- who asks -----------------------------------------------------------------------------------------


def tokens_of_4_to_120_words(chance: random.Random) -> int:
    return 2 + int(chance.randint(4, 120) * 1.3)


def tokens_of_4_to_400_words(chance: random.Random) -> int:
    """Most short, some long: log-uniform."""
    return 2 + int(1.3 * 4 * math.pow(100, chance.random()))


@dataclass
class Load:
    """`callers` in a closed loop; each request as long as `length` says. What comes before a fifth of the
    requests is answered is not counted: there the curve is learned. `asked`, `run`: tokens, without and
    with padding, of the real batcher's runs."""

    seconds: Seconds
    manifest: Manifest
    length: Lengths
    callers: int
    limits: BatchLimits = LIMITS
    requests: int = 900
    noise: float = 0.1
    batches: list[int] = field(default_factory=list)
    latencies_s: list[tuple[int, float]] = field(default_factory=list)
    asked: int = 0
    run: int = 0

    def ratio(self) -> float:
        """Throughput over what the workers would do one request at a time, without any trips."""
        return run_virtually(self._play(self._slipway))[1]

    def rate(self) -> float:
        """Requests per second with the real batcher."""
        return run_virtually(self._play(self._slipway))[0]

    def rate_one_by_one(self) -> float:
        return run_virtually(self._play(self._first_come(1)))[0]

    def rate_padded(self) -> float:
        """All that waits, first come first served, padded to the longest of the batch."""
        return run_virtually(self._play(self._first_come(self.limits.max_batch_size)))[0]

    async def _play(
        self, serve: Callable[["Load", random.Random], tuple[Submit, Callable[[], Awaitable[None]]]]
    ) -> tuple[float, float]:
        loop, chance = asyncio.get_running_loop(), random.Random(7)
        done, bound_s, began = 0, 0.0, loop.time()
        learned = self.requests // 5
        submit, close = serve(self, random.Random(11))

        async def call() -> None:
            nonlocal done, bound_s, began
            while done < self.requests:
                length = self.length(chance)
                asked = loop.time()
                await submit(length)
                self.latencies_s.append((length, loop.time() - asked))
                done += 1
                if done == learned:
                    began, bound_s = loop.time(), 0.0
                bound_s += self.seconds(1, length)

        await asyncio.gather(*(call() for _ in range(self.callers)))
        elapsed_s = loop.time() - began
        await close()
        return (done - learned) / elapsed_s, bound_s / self.limits.concurrency / elapsed_s

    async def _run_s(self, rows: int, length: int, chance: random.Random) -> float:
        took_s = self.seconds(rows, length) * chance.uniform(1 - self.noise, 1 + self.noise)
        self.batches.append(rows)
        await asyncio.sleep(took_s + TRIP_S)
        return took_s

    @staticmethod
    def _slipway(
        load: "Load", chance: random.Random
    ) -> tuple[Submit, Callable[[], Awaitable[None]]]:
        async def run(inputs: Arrays) -> RunResult:
            rows, length = inputs["x"].shape
            load.run += rows * length
            load.asked += int(np.count_nonzero(inputs.get("mask", inputs["x"])))
            return RunResult({"y": inputs["x"]}, await load._run_s(rows, length, chance))

        loop = asyncio.get_running_loop()
        batcher = Batcher(run, load.manifest, load.limits, ModelMeters("m", 1), loop.time)
        return lambda length: batcher.submit(load.item(length)), batcher.close

    @staticmethod
    def _first_come(
        most_rows: int,
    ) -> "Callable[..., tuple[Submit, Callable[[], Awaitable[None]]]]":
        def serve(
            load: "Load", chance: random.Random
        ) -> tuple[Submit, Callable[[], Awaitable[None]]]:
            return FirstCome(load, chance, most_rows).begin()

        return serve

    def item(self, length: int) -> Arrays:
        if len(self.manifest.inputs) == 1:
            return {"x": np.zeros(length, np.float32)}
        return {"x": np.ones(length, np.int64), "mask": np.ones(length, np.int64)}


class FirstCome:
    """Workers that take what came first, up to `most_rows` at a time, padded to the longest."""

    def __init__(self, load: Load, chance: random.Random, most_rows: int) -> None:
        self._load, self._chance, self._most_rows = load, chance, most_rows
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._some = asyncio.Condition()

    def begin(self) -> tuple[Submit, Callable[[], Awaitable[None]]]:
        workers = [asyncio.create_task(self._work()) for _ in range(self._load.limits.concurrency)]

        async def close() -> None:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

        return self._submit, close

    async def _submit(self, length: int) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((length, answer))
        async with self._some:
            self._some.notify()
        await answer

    async def _work(self) -> None:
        while True:
            async with self._some:
                await self._some.wait_for(lambda: bool(self._waiting))
            count = min(len(self._waiting), self._most_rows)
            batch = [self._waiting.popleft() for _ in range(count)]
            if not batch:
                continue
            longest = max(length for length, _ in batch)
            await self._load._run_s(len(batch), longest, self._chance)
            for _, answer in batch:
                answer.set_result(None)


def texts(
    seconds: Seconds,
    callers: int,
    limits: BatchLimits = LIMITS,
    length: Lengths = tokens_of_4_to_120_words,
) -> Load:
    return Load(seconds, text_manifest(), length, callers, limits)


def vectors(seconds: Seconds, callers: int) -> Load:
    return Load(seconds, vector(2), lambda _: 2, callers)


def compared(load: Load) -> tuple[float, float]:
    """Requests per second over those of one by one: with the batcher, and with everything padded."""
    alone = load.rate_one_by_one()
    return load.rate() / alone, load.rate_padded() / alone


def padding(seconds: Seconds, callers: int, length: Lengths) -> float:
    """The share of padding in all that is run."""
    load = texts(seconds, callers, length=length)
    load.rate()
    return 1 - load.asked / load.run


def main(callers: Sequence[int] = (2, 8, 32, 64)) -> None:
    print("requests/s over one at a time: the batcher (everything padded)")
    for name, length in (
        ("4–120 words", tokens_of_4_to_120_words),
        ("4–400 words", tokens_of_4_to_400_words),
    ):
        print(f"{name:24}" + "".join(f"{count:>14} callers" for count in callers))
        for seconds in TEXT_COSTS:
            cells = [compared(texts(seconds, count, length=length)) for count in callers]
            share = padding(seconds, callers[-1], length)
            row = "".join(f"{a:>14.2f} ({b:4.2f}) " for a, b in cells)
            print(f"{seconds.__name__:24}{row} padding {share:.1%}")


if __name__ == "__main__":
    main()
