"""Closed loop: so many connections, each sends its next request when it has the answer to the last.

Rates are those of a steady state: answers are counted from the end of a warm-up, over whole intervals
between answers, so that filling and emptying the server does not count against it.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import uvloop

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.line import Answer, Line
from benchmarks.harness.spread import percentile

_LAST_ANSWERS_S = 60.0
_MOST_EXTRA_S = 30.0


@dataclass(frozen=True)
class ClosedLoopResult:
    requests: int
    rate: float  # requests per second
    p50_ms: float
    p99_ms: float


def closed_loop(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, warm_s: float
) -> ClosedLoopResult:
    """Sends `requests` (whole HTTP messages) over and over, in order, whichever connection is free.

    Raises MeasurementFailed when an answer is not 200.
    """
    return uvloop.run(_Loop(port, requests, connections).run(seconds, warm_s))


class _Loop:
    def __init__(self, port: int, requests: Sequence[bytes], connections: int) -> None:
        self._port = port
        self._requests: Iterator[bytes] = itertools.cycle(requests)
        self._connections = connections
        self._sent: dict[Line, float] = {}
        self._answers: list[tuple[float, float]] = []  # (when, seconds it took)
        self._wrong: dict[int, int] = {}
        self._is_over = False

    async def run(self, seconds: float, warm_s: float) -> ClosedLoopResult:
        loop = asyncio.get_running_loop()
        lines = [
            (await loop.create_connection(lambda: Line(self._answered), "127.0.0.1", self._port))[1]
            for _ in range(self._connections)
        ]
        start = time.perf_counter() + warm_s
        for line in lines:
            self._send(line)
        await asyncio.sleep(warm_s + seconds)
        await self._enough(start)
        self._is_over, end = True, time.perf_counter()
        await self._rest()
        for line in lines:
            line.close()
        if self._wrong:
            raise MeasurementFailed(f"answers that were not 200: {self._wrong}")
        return summary(self._answers, start, end)

    async def _enough(self, start: float) -> None:
        """Longer than asked for when answers are slow: each connection has one, on average."""
        limit = time.perf_counter() + _MOST_EXTRA_S
        while not self._wrong and time.perf_counter() < limit:
            if sum(when >= start for when, _ in self._answers) > self._connections:
                return
            await asyncio.sleep(0.01)

    async def _rest(self) -> None:
        limit = time.perf_counter() + _LAST_ANSWERS_S
        while self._sent and time.perf_counter() < limit:
            await asyncio.sleep(0.01)

    def _send(self, line: Line) -> None:
        self._sent[line] = time.perf_counter()
        line.send(next(self._requests))

    def _answered(self, line: Line, answer: Answer) -> None:
        now = time.perf_counter()
        self._answers.append((now, now - self._sent.pop(line)))
        if answer.status != 200:
            self._wrong[answer.status] = self._wrong.get(answer.status, 0) + 1
        elif not self._is_over:
            self._send(line)


def summary(answers: Sequence[tuple[float, float]], start: float, end: float) -> ClosedLoopResult:
    """Of the answers between `start` and `end`: the rate from the last answer before `start` (or the
    first after it) to the last of all. Raises MeasurementFailed when there are fewer than two."""
    before = [when for when, _ in answers if when < start]
    within = [(when, took) for when, took in answers if start <= when <= end]
    first = before[-1] if before else (within[0][0] if within else start)
    counted = within if before else within[1:]
    if not counted or counted[-1][0] <= first:
        raise MeasurementFailed("too few answers to tell a rate; measure for longer")
    took_ms = [took * 1e3 for _, took in counted]
    return ClosedLoopResult(
        len(counted),
        len(counted) / (counted[-1][0] - first),
        percentile(took_ms, 0.5),
        percentile(took_ms, 0.99),
    )
