"""Open loop: requests are sent at random moments (Poisson arrivals), whether or not answers come.

That is what the outside world does, and what shows overload: callers do not slow down because a server
does. Latency counts from the moment a request was meant to be sent, so that neither a busy generator nor
a missing connection hides waiting (no coordinated omission).
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import uvloop

from benchmarks.harness.line import Answer, Line
from benchmarks.harness.spread import percentile

_MAX_LINES = 1000
_LAST_ANSWERS_S = 15.0


@dataclass(frozen=True)
class OpenLoopResult:
    """`goodput`: answers with 200 per second. `late_p99_ms`: how late the generator itself was."""

    sent: int
    goodput: float
    p50_ms: float
    p99_ms: float
    refused: int
    refused_p99_ms: float
    refused_without_retry_after: int
    retry_after_s: float
    lost: int
    other: dict[int, int]
    late_p99_ms: float

    @property
    def refused_share(self) -> float:
        return self.refused / self.sent if self.sent else 0.0


@dataclass
class Arrival:
    """Seconds since the start. `answer` is None until there is one."""

    intended: float
    sent: float = 0.0
    finished: float = 0.0
    answer: Answer | None = None


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Moments of a Poisson process, in seconds from its start."""
    dice = np.random.default_rng(seed)
    gaps = dice.exponential(1 / rate, size=max(16, int(rate * seconds * 2 + 100)))
    moments = np.cumsum(gaps)
    return [float(moment) for moment in moments[moments < seconds]]


def open_loop(
    port: int, request: bytes, rate: float, seconds: float, warm_s: float, seed: int
) -> OpenLoopResult:
    """Arrivals during `warm_s` are sent but not counted."""
    loop = _Loop(port, request, arrivals(rate, warm_s + seconds, seed))
    uvloop.run(loop.run())
    return summary(loop.all, warm_s, seconds)


@dataclass
class _Loop:
    port: int
    request: bytes
    moments: Sequence[float]
    all: list[Arrival] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._idle: deque[Line] = deque()
        self._on: dict[Line, Arrival] = {}
        self._waiting: deque[Arrival] = deque()  # for a line of their own, or any that falls free
        self._lines: set[Line] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._began = 0.0

    async def run(self) -> None:
        self._began = time.perf_counter()
        for moment in self.moments:
            pause = moment - self._now()
            if pause > 0:
                await asyncio.sleep(pause)
            self._arrive(moment)
        limit = self._now() + _LAST_ANSWERS_S
        while (self._on or self._waiting) and self._now() < limit:
            await asyncio.sleep(0.01)
        for line in self._lines:
            line.close()
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _arrive(self, moment: float) -> None:
        arrival = Arrival(moment)
        self.all.append(arrival)
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                self._send(line, arrival)
                return
            self._lines.discard(line)
        self._waiting.append(arrival)
        if len(self._lines) + len(self._opening) < _MAX_LINES:
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(self._answered), "127.0.0.1", self.port)
        self._lines.add(line)
        self._next(line)

    def _send(self, line: Line, arrival: Arrival) -> None:
        arrival.sent = self._now()
        self._on[line] = arrival
        line.send(self.request)

    def _answered(self, line: Line, answer: Answer) -> None:
        arrival = self._on.pop(line)
        arrival.finished, arrival.answer = self._now(), answer
        if line.is_open:
            self._next(line)
        else:
            self._lines.discard(line)

    def _next(self, line: Line) -> None:
        if self._waiting:
            self._send(line, self._waiting.popleft())
        else:
            self._idle.append(line)


def summary(all_arrivals: Sequence[Arrival], start: float, seconds: float) -> OpenLoopResult:
    """Goodput counts 200s that finished within the window; everything else, what arrived in it."""
    end = start + seconds
    meant = [arrival for arrival in all_arrivals if start <= arrival.intended < end]
    by_status: dict[int, list[Arrival]] = {}
    for arrival in meant:
        status = arrival.answer.status if arrival.answer else 0
        by_status.setdefault(status, []).append(arrival)
    good, lost = by_status.pop(200, []), by_status.pop(0, [])
    refused = by_status.pop(503, []) + by_status.pop(429, [])
    pauses = [a.answer.retry_after_s for a in refused if a.answer]
    finished = sum(
        a.answer is not None and a.answer.status == 200 and start <= a.finished < end
        for a in all_arrivals
    )
    return OpenLoopResult(
        sent=len(meant),
        goodput=finished / seconds,
        p50_ms=percentile(_latencies_ms(good), 0.5),
        p99_ms=percentile(_latencies_ms(good), 0.99),
        refused=len(refused),
        refused_p99_ms=percentile(_latencies_ms(refused), 0.99),
        refused_without_retry_after=sum(pause is None for pause in pauses),
        retry_after_s=percentile([pause for pause in pauses if pause is not None], 0.5),
        lost=len(lost),
        other={status: len(found) for status, found in by_status.items()},
        late_p99_ms=percentile([(a.sent - a.intended) * 1e3 for a in meant if a.sent], 0.99),
    )


def _latencies_ms(found: Sequence[Arrival]) -> list[float]:
    return [(arrival.finished - arrival.intended) * 1e3 for arrival in found]
