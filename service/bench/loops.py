"""When requests are sent: closed loop (so many callers, each waits for its answer) or open (they just come).

A closed loop shows what a server can do; an open loop with Poisson arrivals shows what it does to callers
who do not slow down because it does. Both run for `warm_s` before anything counts. A closed loop then gives
up what is under way, for its window is full of steady state; an open loop waits for the answers to all who
arrived, up to `rest_s`, because leaving out the slow ones is how overload looks good.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from service.bench.exchange import Exchange
from service.bench.line import Line, NewReader
from service.bench.target import Target

_MOST_LINES = 4_096
_LOOK_S = 0.05


@dataclass(frozen=True)
class Work:
    """What every loop needs. `requests`: whole HTTP messages, endless. `new_reader`: reads an answer."""

    target: Target
    requests: Iterator[bytes]
    new_reader: NewReader


@dataclass(frozen=True)
class Timing:
    duration_s: float
    warm_s: float = 0.0
    rest_s: float = 30.0


@dataclass
class Measured:
    """Every exchange that was begun; what counts lies in [start_s, end_s)."""

    start_s: float
    end_s: float
    exchanges: list[Exchange] = field(default_factory=list)


OnTick = Callable[[Measured], None]


async def closed_loop(
    work: Work, concurrency: int, timing: Timing, stop: asyncio.Event, on_tick: OnTick
) -> Measured:
    """`stop` ends it early; `on_tick` is called now and then. Raises OSError without a connection."""
    return await _Closed(work, on_tick).run(concurrency, timing, stop)


async def open_loop(
    work: Work, rate: float, timing: Timing, stop: asyncio.Event, on_tick: OnTick, seed: int = 0
) -> Measured:
    """Arrivals per second, at random moments. As `closed_loop` else."""
    moments = arrivals(rate, timing.warm_s + timing.duration_s, seed)
    return await _Open(work, on_tick).run(moments, timing, stop)


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Moments of a Poisson process, in seconds from its start."""
    dice, moment = random.Random(seed), 0.0
    moments: list[float] = []
    while (moment := moment + dice.expovariate(rate)) < seconds:
        moments.append(moment)
    return moments


class _Loop(ABC):
    def __init__(self, work: Work, on_tick: OnTick) -> None:
        self._work, self._on_tick = work, on_tick
        self._tls = work.target.tls
        self._measured = Measured(0.0, 0.0)
        self._lines: set[Line] = set()
        self._opening: set[asyncio.Task[None]] = set()

    async def _connect(self) -> Line:
        target, loop = self._work.target, asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: Line(self._work.new_reader, self._ended),
            target.host,
            target.port,
            ssl=self._tls,
        )
        self._lines.add(line)
        return line

    def _new(self, intended: float) -> Exchange:
        exchange = Exchange(intended)
        self._measured.exchanges.append(exchange)
        return exchange

    def _begin(self, line: Line, exchange: Exchange) -> None:
        line.send(next(self._work.requests), exchange)

    @abstractmethod
    def _ended(self, line: Line, exchange: Exchange) -> None:
        """What a line that has its answer, or has broken, does next."""

    async def _until(self, moment: float, stop: asyncio.Event) -> None:
        while (left := moment - time.perf_counter()) > 0 and not stop.is_set():
            await asyncio.sleep(min(left, _LOOK_S))
            self._on_tick(self._measured)

    def _over(self) -> Measured:
        """The window ends no later than now."""
        measured = self._measured
        measured.end_s = min(measured.end_s, time.perf_counter())
        return measured

    def _calling(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(call)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _close(self) -> None:
        for task in self._opening:
            task.cancel()
        for line in self._lines:
            line.close()


class _Closed(_Loop):
    _is_over = False

    async def run(self, concurrency: int, timing: Timing, stop: asyncio.Event) -> Measured:
        try:
            lines = [await self._connect() for _ in range(concurrency)]
            began = time.perf_counter()
            self._measured.start_s = began + timing.warm_s
            self._measured.end_s = began + timing.warm_s + timing.duration_s
            for line in lines:
                self._begin(line, self._new(time.perf_counter()))
            await self._until(self._measured.end_s, stop)
            return self._over()
        finally:
            self._is_over = True
            self._close()

    def _ended(self, line: Line, exchange: Exchange) -> None:
        if self._is_over:
            return
        loop = asyncio.get_running_loop()
        if not line.is_open:
            self._lines.discard(line)
            self._calling(self._again())
        elif exchange.error:
            # A server that refuses at once must not be asked as fast as it can refuse.
            loop.call_later(_LOOK_S, self._next, line)
        else:
            self._next(line)

    def _next(self, line: Line) -> None:
        if not self._is_over:
            self._begin(line, self._new(time.perf_counter()))

    async def _again(self) -> None:
        """A caller whose connection ended calls again."""
        while not self._is_over:
            await asyncio.sleep(_LOOK_S)
            try:
                self._next(await self._connect())
            except OSError as error:
                failed = self._new(time.perf_counter())
                failed.ended_s = time.perf_counter()
                failed.error = error.strerror or "no connection"
            else:
                return


class _Open(_Loop):
    def __init__(self, work: Work, on_tick: OnTick) -> None:
        super().__init__(work, on_tick)
        self._idle: list[Line] = []
        self._waiting: deque[Exchange] = deque()  # for a line of their own, or any that falls free
        self._under_way = 0

    async def run(self, moments: list[float], timing: Timing, stop: asyncio.Event) -> Measured:
        try:
            self._idle.append(await self._connect())  # fails here rather than once per arrival
            began = time.perf_counter()
            self._measured.start_s = began + timing.warm_s
            self._measured.end_s = began + timing.warm_s + timing.duration_s
            for moment in moments:
                await self._until(began + moment, stop)
                if stop.is_set():
                    return self._over()
                self._arrive(began + moment)
            await self._until(self._measured.end_s, stop)
            await self._rest(time.perf_counter() + timing.rest_s, stop)
            return self._over()
        finally:
            self._close()

    async def _rest(self, limit: float, stop: asyncio.Event) -> None:
        while self._under_way and time.perf_counter() < limit and not stop.is_set():
            await asyncio.sleep(_LOOK_S)
            self._on_tick(self._measured)

    def _arrive(self, intended: float) -> None:
        exchange = self._new(intended)
        self._under_way += 1
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                self._begin(line, exchange)
                return
            self._lines.discard(line)
        self._waiting.append(exchange)
        if len(self._lines) + len(self._opening) < _MOST_LINES:
            self._calling(self._open())

    async def _open(self) -> None:
        try:
            self._free(await self._connect())
        except OSError as error:
            if self._waiting:  # another line may have taken it meanwhile
                exchange = self._waiting.popleft()
                exchange.error = error.strerror or "no connection"
                exchange.ended_s = time.perf_counter()
                self._under_way -= 1

    def _ended(self, line: Line, exchange: Exchange) -> None:  # noqa: ARG002 - all are kept already
        self._under_way -= 1
        if line.is_open:
            self._free(line)
        else:
            self._lines.discard(line)

    def _free(self, line: Line) -> None:
        if self._waiting:
            self._begin(line, self._waiting.popleft())
        else:
            self._idle.append(line)
